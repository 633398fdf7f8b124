"""Patching all layers and places of a text: many in one batch, one by one, and TransformerLens."""

from __future__ import annotations

import contextlib
import io
from functools import partial
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from auditgame.specimen import Specimen
from auditgame.tools.transformer.activation_patching import ActivationPatch, patched, values
from auditgame.tools.transformer.residual_stream import blocks
from benchmarks.comparison import Line, Peer, race

KINDS = ("residual", "attn", "mlp")


def first_less_second(logits: Tensor) -> Tensor:
    """The metric: logit of word 2 less that of word 3."""
    return logits[:, 2] - logits[:, 3]


def grid(
    specimen: Specimen, clean: Int[Tensor, " t"], corrupt: Int[Tensor, " t"], batch: int
) -> Tensor:
    """Clean values put into the corrupt run at every layer and place, `kind layer place`."""
    named, places = blocks(specimen), range(len(clean))
    patches = [ActivationPatch(f"{b}.{kind}", at) for kind in KINDS for b in named for at in places]
    donor, place = values(specimen, clean, patches), len(clean) - 1
    found = patched(specimen, corrupt, donor, patches, first_less_second, place, batch=batch)
    return found.view(len(KINDS), len(named), len(clean))


@torch.no_grad()
def theirs(model: Any, clean: Int[Tensor, " t"], corrupt: Int[Tensor, " t"]) -> Tensor:
    """The same by TransformerLens's own patching functions, which go one by one."""
    from transformer_lens import patching

    _, cache = model.run_with_cache(clean[None])
    ways = (
        partial(patching.generic_activation_patch, activation_name="resid_post"),
        partial(patching.generic_activation_patch, activation_name="attn_out"),
        partial(patching.generic_activation_patch, activation_name="mlp_out"),
    )
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        found = [
            way(
                model,
                corrupt[None],
                cache,
                lambda logits: first_less_second(logits[:, -1]),
                patch_setter=patching.layer_pos_patch_setter,
                index_axis_names=("layer", "pos"),
            )
            for way in ways
        ]
    return torch.stack(found)


def apart(ours: Tensor, theirs: Tensor) -> str:
    """The largest difference, in logits."""
    return f"logit differences differ by {float((ours - theirs).abs().max()):.0e} at most"


def lines(specimen: Specimen, model: Any, clean: Tensor, corrupt: Tensor, size: str) -> list[Line]:
    """Against one by one, with our own code and with theirs."""
    cells = len(KINDS) * len(blocks(specimen)) * len(clean)
    alone = Peer("ours, one by one", partial(grid, specimen, clean, corrupt, 1), 3, apart)
    other = Peer("TransformerLens", partial(theirs, model, clean, corrupt), 3, apart)
    task = f"patching, {size}, {cells} patches of {len(clean)} words"
    return race(task, partial(grid, specimen, clean, corrupt, 0), [alone, other])
