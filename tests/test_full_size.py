"""A GPT-2 of full size, on the table with one tool; `make full-size` tries them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.full_size import LIMIT, Use, fitting, lay, measure, page


@pytest.mark.slow
def test_the_lens_reads_a_full_sized_gpt2_within_4_gb(tmp_path: Path):
    lay(tmp_path)
    found = measure("logit_lens", "whole", tmp_path)
    assert found.told.endswith("queries")
    assert 0.5 < found.peak < LIMIT


def test_every_text_tool_is_measured_and_no_other():
    found = list(fitting(["logit_lens", "gradcam", "head_scores"]))
    assert found == [("logit_lens", "pool"), ("logit_lens", "whole"), ("head_scores", "pool")]


def test_the_page_has_a_row_for_each_use():
    lines = list(page([Use("logit_lens", "pool", 1.234, 5.67, 8, "3 exhibits, 1 probes")]))
    assert lines[-1] == "| logit_lens | pool | 1.23 | 5.7 | 8 | 3 exhibits, 1 probes |"
