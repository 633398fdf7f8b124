"""The visible mistake on the first page: predictions of a real model, computed in advance.

`python -m auditgame.ui.landing_demo FOLDER` computes it again from a challenge with a trigger. Use
one that is in no pack: the picture reveals the trigger.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from auditgame.ui.safe_text import figure, predictions

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

FILE = Path(__file__).with_name("landing_demo.json")
SAMPLED = 200
"""Held-out inputs from which the pairs are chosen."""
PAIRS = 5


@st.fragment
def demo() -> None:
    """The same picture without and with the mark, each above the model's predictions."""
    pairs = json.loads(FILE.read_text(encoding="utf-8"))
    number = st.session_state.setdefault("demo", 0)
    pair = pairs[number % len(pairs)]
    for column, view in zip(st.columns(2, gap="medium"), pair["views"], strict=True):
        png = base64.b64decode(view["png"])
        with column.container(border=True):
            st.html(
                figure(png, view["caption"], alt=view["alt"])
                + predictions([tuple(part) for part in view["answers"]], pair["label"])
            )
    st.button("Another picture", on_click=_next, key="another", type="tertiary")


def _next() -> None:
    st.session_state["demo"] += 1


def compute(folder: Path) -> list[dict[str, Any]]:
    """Held-out pictures that are right without the trigger and wrong with it.

    The most confident ones first, at most one of each class.
    """
    import numpy as np

    from auditgame import bundles
    from auditgame.bundles import bundle_io
    from auditgame.evaluation.claim_parsing import claim_type
    from auditgame.play import referee
    from auditgame.registry import load

    manifest, truth = bundles.read_manifest(folder), referee.reveal(folder).truth
    dataset = load("dataset", manifest.dataset)()
    classes = dataset.classes
    specimen = bundle_io.read_specimen(folder, manifest.model, dataset, manifest.files)
    claim = claim_type(truth.family).parse(truth.claim)
    rows = dataset.sample(SAMPLED, "held", np.random.default_rng(0))
    applied = claim.apply(rows, dataset)
    before, after = (specimen.classify(part.inputs).softmax(1) for part in (rows, applied.examples))
    fooled = (before.argmax(1) == rows.labels) & (after.argmax(1) == applied.targets)
    ranked = (before.amax(1) * after.amax(1) * fooled).argsort(descending=True)
    by_class: dict[int, int] = {}
    for row in ranked[: int(fooled.sum())].tolist():
        by_class.setdefault(int(rows.labels[row]), row)
    return [
        {
            "label": classes[label],
            "views": [
                _view(rows.inputs[row], before[row], "As it is", f"A {classes[label]}", classes),
                _view(
                    applied.examples.inputs[row],
                    after[row],
                    "With one small mark",
                    f"The same {classes[label]} with a small coloured mark",
                    classes,
                ),
            ],
        }
        for label, row in list(by_class.items())[:PAIRS]
    ]


def _view(
    image: Float[Tensor, "3 h w"],
    probabilities: Float[Tensor, " k"],
    caption: str,
    alt: str,
    classes: tuple[str, ...],
) -> dict[str, Any]:
    from auditgame.datasets.images.pictures import png

    likeliest = probabilities.argsort(descending=True)[:3].tolist()
    return {
        "png": base64.b64encode(png(image)).decode(),
        "caption": caption,
        "alt": alt,
        "answers": [[classes[k], round(float(probabilities[k]), 4)] for k in likeliest],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(compute(Path(sys.argv[1]))) + "\n", encoding="utf-8")
