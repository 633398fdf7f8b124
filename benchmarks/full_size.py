"""What does each text tool need on a full-size GPT-2? `make full-size`.

The network has 124 million parameters, 50,257 pieces and a context of 1,024, all drawn at random,
and lies in a folder as Hugging Face's classes write it. Each tool runs in a process of its own, on
24 texts and, where it reads a text of one's own, on one of a thousand pieces; its peak memory is
the operating system's count. Writes docs/results/full-size.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file

from auditgame import paths
from auditgame.registry import load, names

LIMIT = 4.0
"""GB resident, at most."""
PATIENCE, HUNG = 60, 900
"""A tool that takes longer, in CPU seconds, is stopped at its next report, as a person would stop
it; one that never reports is ended after so many seconds, and that is an error."""
TEXTS, WORDS = 24, 1_000
OPTIONS: dict[str, dict[str, Any]] = {
    "word_sweep": {"words": "1 2"},
    "probe": {"what": "0-11"},
    "steering": {"toward": "0-11", "away": "12-23"},
}
"""Where the cheapest would take hours on one core, or texts without labels need to be named."""
What = Literal["pool", "whole"]
INTRO = """\
# Full-size models

Made by `make full-size`: every text tool on a random GPT-2 with 124 million parameters, each in a
process of its own on one thread, with a limit of {limit:g} GB. Pool: {texts} texts. Whole: one
text of about a thousand tokens. Reports: how often the tool reported its progress; a person can
stop it at each of them, and here it was stopped after {patience} CPU seconds.
"""
ASK = """
import json, resource, sys, time
from pathlib import Path
from auditgame import external
from auditgame.registry import load
from auditgame.plugins.conformance.tool import cheapest
from auditgame.tools import Stopped
folder, tool, more, prompt, patience = sys.argv[1:]
laid = external.load_language_model(f"hf:{folder}", Path(folder) / "texts.txt", most=24)
kind = load("tool", tool)
needed = {name for name, field in kind.Options.model_fields.items() if field.is_required()}
options = {k: v for k, v in cheapest(kind, laid.specimen).items() if k in needed}
options |= json.loads(more) | ({"text": prompt} if prompt else {})
reports, start = [0.0], time.process_time()
def report(share, words):
    reports.append(share)
    if time.process_time() - start > float(patience):
        raise Stopped
try:
    shown, cost = external.use(laid, tool, report, **options)
    told = f"{len(shown)} exhibits, {cost:,} queries"
except Stopped:
    told = f"stopped by its user at {reports[-1]:.0%}"
except ValueError as error:
    told = "refused: " + str(error).split(";")[0]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"peak": peak, "seconds": time.process_time() - start, "told": told,
                  "reports": len(reports) - 1}))
"""


class Use(NamedTuple):
    """What one use took: GB at the peak, CPU seconds, reports of progress, and what came of it."""

    tool: str
    what: What
    peak: float
    seconds: float
    reports: int
    told: str


def main() -> None:
    """Measure every tool, or those that are named, and write the page."""
    form = argparse.ArgumentParser(description=__doc__)
    form.add_argument("tools", nargs="*", help="only these; then nothing is written")
    form.add_argument("--jobs", type=int, default=1, help="tools at a time, of one thread each")
    options = form.parse_args()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        lay(Path(folder))
        uses = fitting(options.tools or names("tool"))
        found = []
        for use in pool.map(lambda one: measure(one[0], one[1], Path(folder)), uses):
            found.append(use)
            print(*use, flush=True)
    if not options.tools:
        (paths.checkout() / "docs" / "results" / "full-size.md").write_text(
            "\n".join(page(found)) + "\n"
        )


def fitting(tools: Sequence[str]) -> Iterator[tuple[str, What]]:
    """Every text tool on the pool, and on one long text if it reads one."""
    for name in tools:
        kind = load("tool", name)
        if "text" in kind.modality:
            yield name, "pool"
            if "text" in kind.Options.model_fields:
                yield name, "whole"


def lay(folder: Path) -> None:
    """Write the network, a tokenizer whose pieces are bytes and numbers, and texts of numbers."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    with torch.device("meta"):
        network = transformers.GPT2LMHeadModel(transformers.GPT2Config())
    network.config.save_pretrained(folder)
    save_file(_weights(network.state_dict()), folder / "model.safetensors")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = [f"Ġ{n}" for n in range(network.config.vocab_size - len(letters))]
    merges = [(number[:-1], number[-1]) for number in numbers]
    vocabulary = {piece: index for index, piece in enumerate([*letters, *numbers])}
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.save(str(folder / "tokenizer.json"))
    rng = np.random.default_rng(0)
    (folder / "texts.txt").write_text("".join(f"{told(rng, 16, 50_000)}\n" for _ in range(TEXTS)))


def told(rng: np.random.Generator, words: int, below: int) -> str:
    """A text of so many numbers; with this tokenizer each but the first is one piece."""
    return " ".join(str(n) for n in rng.integers(0, below, words))


def _weights(shapes: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(value.shape, generator=rng) * 0.02 + (".ln_" in name) * ("weight" in name)
        for name, value in shapes.items()
        if name != "lm_head.weight"
    }


def measure(tool: str, what: What, folder: Path) -> Use:
    """Use a tool once, in a process of its own."""
    prompt = told(np.random.default_rng(1), WORDS, 10) if what == "whole" else ""
    other = {"other": told(np.random.default_rng(2), WORDS, 10)} if tool == "patching" else {}
    more = json.dumps(OPTIONS.get(tool, {}) | (other if prompt else {}))
    words = [sys.executable, "-c", ASK, str(folder), tool, more, prompt, str(PATIENCE)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=HUNG)
    if done.returncode:
        raise RuntimeError(f"{tool}, {what}: {done.stderr[-2_000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Use(tool, what, found["peak"], found["seconds"], found["reports"], found["told"])


def page(found: Sequence[Use]) -> Iterator[str]:
    """The table as Markdown."""
    yield INTRO.format(limit=LIMIT, texts=TEXTS, patience=PATIENCE)
    yield "| tool | input | peak memory, GB | CPU s | reports | result |"
    yield "|---|---|---|---|---|---|"
    for use in found:
        row = f"| {use.tool} | {use.what} | {use.peak:.2f} | {use.seconds:.1f} | {use.reports} "
        yield f"{row}| {use.told} |"


if __name__ == "__main__":
    main()
