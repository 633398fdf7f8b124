"""Run as a file: tools on a model of GPT-2's size; prints seconds by tool, and the peak in MB."""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import numpy as np
import torch
from lookup import use

from auditgame.contracts.house import Counted
from auditgame.material import Material
from benchmarks.language import Large, Numbers

TEXT = " ".join(f"n{1000 + 7 * place}" for place in range(32))
USES: dict[str, dict[str, Any]] = {
    "logit_lens": {"text": TEXT, "show": "kl"},
    "attention": {"text": TEXT, "value_weighted": True},
    "direct_attribution": {"text": TEXT, "target": "n77"},
    "head_scores": {"count": 4, "texts": 4},
    "patching": {"text": TEXT, "other": TEXT.replace("n1070 ", "n5 "), "what": "residual"},
    "circuits": {"head": "block3.heads:5"},
    "tuned_lens": {"text": TEXT, "pool": 10, "steps": 1},
}


def main() -> None:
    """Use every tool once."""
    torch.set_num_threads(1)
    data, spent = Numbers(), {}
    specimen = Counted(Large.build(data, torch.Generator().manual_seed(0)), data)
    material = Material(data, data.sample(20, "pool", np.random.default_rng(0)))
    for name in sys.argv[1:] or USES:
        start = time.process_time()
        assert use(name, specimen, material, **USES[name])
        spent[name] = round(time.process_time() - start, 1)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps({"seconds": spent, "peak": peak}), flush=True)


if __name__ == "__main__":
    main()
