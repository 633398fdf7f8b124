"""The logit lens over all layers and places, beside TransformerLens and its bare passes."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from auditgame.specimen import Specimen
from auditgame.tools.transformer.layerwise import ROWS, CellQuery, Cells, read
from auditgame.tools.transformer.residual_stream import layers, streams
from benchmarks.comparison import Line, Peer, race


def ours(specimen: Specimen, ids: Int[Tensor, " t"], last: int) -> Cells:
    """The likeliest word and its probability in the last columns, as the tool computes them."""
    stream = streams(specimen, ids[None])[:, 0, -last:]
    asked = CellQuery(torch.zeros(last, dtype=torch.long), None, stream.new_empty(0, 0))
    return read(specimen, stream, "word", asked)


@torch.no_grad()
def theirs(model: Any, ids: Int[Tensor, " t"], filtered: bool) -> Cells:
    """The same by run_with_cache and accumulated_resid; filtered: the stream alone is cached."""
    wanted = (lambda name: "resid_pre" in name or "resid_post" in name) if filtered else None
    _, cache = model.run_with_cache(ids[None], names_filter=wanted)
    if filtered:
        depth = model.cfg.n_layers
        found = [cache["resid_pre", n] for n in range(depth)] + [cache["resid_post", depth - 1]]
        stack = torch.stack(found)
    else:
        stack = cache.accumulated_resid(layer=-1, incl_mid=False)
    best = model.unembed(model.ln_final(stack[:, 0])).softmax(-1).max(-1)
    return Cells(best.values, best.indices)


def bare(specimen: Specimen, ids: Int[Tensor, " t"]) -> None:
    """The pass up to the last stream, then all layers unembedded together; nothing is read off."""
    sites = layers(specimen)
    kept = specimen.run(ids[None], keep=sites, whole=False).kept
    for part in torch.cat([kept[site][0] for site in sites]).split(ROWS):
        specimen.unembed(part)


def agree(mine: Cells, his: Cells) -> str:
    """How many words are the same, and how far the probabilities are apart."""
    his = Cells(*(part[:, -mine.words.shape[1] :] for part in his))
    same = int((mine.words == his.words).sum())
    apart = float((mine.values - his.values).abs().max())
    return f"{same} of {mine.words.numel()} words the same, probabilities differ by {apart:.0e}"


def same_passes(mine: Cells, _: None) -> str:
    """What the floor agrees on."""
    return f"the same {mine.values.numel()} cells, without reading them out"


def lines(
    specimen: Specimen, model: Any, ids: Int[Tensor, " t"], size: str, goals: dict[str, float]
) -> list[Line]:
    """Everything, then one column alone. goals: by peer, how many times faster."""
    full = Peer("TransformerLens, full cache", partial(theirs, model, ids, False), 1, agree)
    filtered = Peer("TransformerLens, filtered", partial(theirs, model, ids, True), 1, agree)
    floor = Peer(
        "floor: forward and unembedding", partial(bare, specimen, ids), 1.1, same_passes, floor=True
    )
    all_of_it = [
        full._replace(goal=goals["full"]),
        filtered._replace(goal=goals["filtered"]),
        floor,
    ]
    task = f"logit lens, {size}, {len(ids)} words"
    return [
        *race(f"{task}, all cells", partial(ours, specimen, ids, len(ids)), all_of_it, 9),
        *race(
            f"{task}, the last column",
            partial(ours, specimen, ids, 1),
            [full._replace(goal=goals["shown"])],
            9,
        ),
    ]
