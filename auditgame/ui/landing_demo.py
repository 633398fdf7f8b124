"""The visible mistake on the first page: real answers of a real model, computed beforehand.

`python -m auditgame.ui.landing_demo FOLDER` computes it anew from a challenge with a trigger. Take
one that nobody plays: the picture gives its answer away.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from auditgame.ui.safe_text import answers, figure

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

FILE = Path(__file__).with_name("landing_demo.json")
TRIED = 200
SCENES = 5


@st.fragment
def slip() -> None:
    """The same picture twice, without and with the mark, over what the model answers."""
    scenes = json.loads(FILE.read_text(encoding="utf-8"))
    turn = st.session_state.setdefault("slip", 0)
    scene = scenes[turn % len(scenes)]
    for column, view in zip(st.columns(2, gap="medium"), scene["views"], strict=True):
        png = base64.b64decode(view["png"])
        with column.container(border=True):
            st.html(
                figure(png, view["caption"], alt=view["alt"])
                + answers([tuple(pair) for pair in view["answers"]], scene["label"])
            )
    st.button("Another picture", on_click=_turn, key="another", type="tertiary")


def _turn() -> None:
    st.session_state["slip"] += 1


def compute(folder: Path) -> list[dict[str, Any]]:
    """Fresh pictures answered most surely: rightly, and wrongly with the trigger on them.

    One of each class at most, the surest first.
    """
    import numpy as np

    from auditgame import bundles
    from auditgame.bundles import bundle_io
    from auditgame.evaluation.claim_parsing import claim_class
    from auditgame.play import referee
    from auditgame.registry import load

    manifest, truth = bundles.read_manifest(folder), referee.reveal(folder).truth
    dataset = load("dataset", manifest.dataset)()
    classes = dataset.classes
    specimen = bundle_io.read_specimen(folder, manifest.model, dataset, manifest.files)
    claim = claim_class(truth.family).parse(truth.claim)
    rows = dataset.sample(TRIED, "held", np.random.default_rng(0))
    marked = claim.apply(rows, dataset)
    before, after = (specimen.classify(part.inputs).softmax(1) for part in (rows, marked.examples))
    fooled = (before.argmax(1) == rows.labels) & (after.argmax(1) == marked.targets)
    surest = (before.amax(1) * after.amax(1) * fooled).argsort(descending=True)
    by_class: dict[int, int] = {}
    for row in surest[: int(fooled.sum())].tolist():
        by_class.setdefault(int(rows.labels[row]), row)
    return [
        {
            "label": classes[label],
            "views": [
                _view(rows.inputs[row], before[row], "As it is", f"A {classes[label]}", classes),
                _view(
                    marked.examples.inputs[row],
                    after[row],
                    "With one small mark",
                    f"The same {classes[label]} with a small coloured mark",
                    classes,
                ),
            ],
        }
        for label, row in list(by_class.items())[:SCENES]
    ]


def _view(
    image: Float[Tensor, "3 h w"],
    chances: Float[Tensor, " k"],
    caption: str,
    alt: str,
    classes: tuple[str, ...],
) -> dict[str, Any]:
    from auditgame.datasets.images.pictures import png

    likeliest = chances.argsort(descending=True)[:3].tolist()
    return {
        "png": base64.b64encode(png(image)).decode(),
        "caption": caption,
        "alt": alt,
        "answers": [[classes[k], round(float(chances[k]), 4)] for k in likeliest],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(compute(Path(sys.argv[1]))) + "\n", encoding="utf-8")
