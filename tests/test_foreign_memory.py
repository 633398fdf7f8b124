"""A GPT-2 of full size on the table: how much memory does each text tool take?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import real
from safetensors.torch import save_file

from auditgame.catalog import load, names

LIMIT = 4.0
"""GB resident, at most."""
OPTIONS: dict[str, str] = {"word_sweep": '{"words": "the king and"}'}
"""Where the cheapest options would take hours on one core."""
ASK = """
import json, resource, sys, time
from pathlib import Path
from auditgame import foreign
from auditgame.catalog import load
from auditgame.contracts.tool import cheapest
folder, texts, tool, more, whole = sys.argv[1:]
prompt = Path(texts).read_text()[:1_000]
laid = foreign.lay_out_texts(f"hf:{folder}", Path(texts), most=24)
data = laid.specimen.dataset
kind = load("tool", tool)
needed = {name for name, field in kind.Options.model_fields.items() if field.is_required()}
options = {k: v for k, v in cheapest(kind, laid.specimen).items() if k in needed}
options |= json.loads(more)
if whole == "whole":
    options["text"] = prompt
    assert len(data.encode(prompt)) >= 1_000
reports, start = [], time.time()
try:
    shown, cost = foreign.use(laid, tool, lambda share, words: reports.append(share), **options)
    told = f"{len(shown)} exhibits, {cost} probes"
except ValueError as error:
    told = str(error)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"peak": peak, "seconds": time.time() - start, "told": told,
                  "reports": len(reports)}))
"""


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of a random GPT-2 of 124M with a tokenizer of 50,257 pieces; and lines to read."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("gpt2")
    with torch.device("meta"):
        network = transformers.GPT2LMHeadModel(transformers.GPT2Config())
    network.config.save_pretrained(folder)
    rng = torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn(value.shape, generator=rng) * 0.02 + (".ln_" in name) * ("weight" in name)
        for name, value in network.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(weights, folder / "model.safetensors")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(f"Ġ{n}x" for n in range(50_257 - len(letters)))]
    made = Tokenizer(models.BPE({piece: n for n, piece in enumerate(pieces)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.save(str(folder / "tokenizer.json"))
    texts = folder / "texts.txt"
    lines = [line for line in real("text", "tinyshakespeare.txt").read_text().splitlines() if line]
    texts.write_text("\n".join(line[:60] for line in lines[:400]))
    return folder, texts


def fitting() -> list[tuple[str, str]]:
    """Every text tool on the pool, and on one text of the whole context if it reads one."""
    found = []
    for name in names("tool"):
        kind = load("tool", name)
        if "text" in kind.modality:
            found.append((name, "pool"))
            if "text" in kind.Options.model_fields:
                found.append((name, "whole"))
    return found


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize(("tool", "what"), fitting())
def test_a_full_sized_gpt2_stays_within_4_gb(tool: str, what: str, full) -> None:
    folder, texts = full
    words = [
        sys.executable,
        "-c",
        ASK,
        str(folder),
        str(texts),
        tool,
        OPTIONS.get(tool, "{}"),
        what,
    ]
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(tool, what, found)
    assert found["peak"] < LIMIT
