"""What the papers on language models' insides write down, one number at a time."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from auditgame.specimen import Specimen


def weights_of(specimen: Specimen, layer: int, part: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of one affine map of a block, by its name in the checkpoint."""
    weights, name = specimen.weights(), f"transformer.h.{layer}.{part}"
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def normal(specimen: Specimen, value: Tensor, name: str) -> Tensor:
    """Layer normalisation by the weights of this name."""
    weights = specimen.weights()
    gain, bias = weights[f"transformer.{name}.weight"], weights[f"transformer.{name}.bias"]
    return F.layer_norm(value, value.shape[-1:], gain, bias, 1e-5)


def written(specimen: Specimen, ids: Tensor, layer: int, head: int) -> Tensor:
    """What one head adds to the stream at the last place: sum of A v W_O over earlier places."""
    sites = ["embed", *(f"block{n}.residual" for n in range(layer))]
    stream = specimen.run(ids[None], keep=sites).kept[sites[-1]][0]
    seen = normal(specimen, stream, f"h.{layer}.ln_1")
    (weight, bias), (out, _) = (
        weights_of(specimen, layer, f"attn.{name}") for name in ("c_attn", "c_proj")
    )
    width = len(out)
    size = width // specimen.site(f"block{layer}.heads").units
    mine = slice(head * size, (head + 1) * size)
    q, k, v = ((seen @ weight + bias)[:, n * width : (n + 1) * width][:, mine] for n in range(3))
    scores = torch.stack([q[-1] @ k[place] / size**0.5 for place in range(len(ids))])
    pattern = scores.softmax(0)
    return sum(pattern[place] * v[place] @ out[mine] for place in range(len(ids)))


def restored(specimen: Specimen, into: Tensor, source: Tensor, site: str, place: int) -> Tensor:
    """Logits at the end of one text with one place of one site as it was in the other.

    Section 2.2 of Meng et al. 2022: h is set to its clean value, and the run goes on.
    """
    clean = specimen.run(source[None], keep=[site]).kept[site]

    def put_back(value: Tensor) -> Tensor:
        return torch.cat([value[:, :place], clean[:, place : place + 1], value[:, place + 1 :]], 1)

    return specimen.run(into[None], edit={site: put_back}).output[0, -1]


def writes(specimen: Specimen, layer: int, head: int) -> Tensor:
    """W_E W_V W_O W_U of one head, norms' gains in their places, rows centred."""
    weights = specimen.weights()
    embedding = F.layer_norm(weights["transformer.wte.weight"], (64,), eps=1e-5)
    seen = embedding * weights[f"transformer.h.{layer}.ln_1.weight"]
    value = weights_of(specimen, layer, "attn.c_attn")[0][:, 128 + 16 * head : 144 + 16 * head]
    out = weights_of(specimen, layer, "attn.c_proj")[0][16 * head : 16 * head + 16]
    stream = seen @ value @ out
    stream = (stream - stream.mean(1, keepdim=True)) * weights["transformer.ln_f.weight"]
    table = stream @ weights["lm_head.weight"].T
    return table - table.mean(1, keepdim=True)


def reads(specimen: Specimen, layer: int, head: int) -> Tensor:
    """W_E W_Q (W_E W_K)^T / sqrt(e) of one head with biases, rows centred."""
    weights = specimen.weights()
    seen = normal(specimen, weights["transformer.wte.weight"], f"h.{layer}.ln_1")
    both = seen @ weights_of(specimen, layer, "attn.c_attn")[0]
    both = both + weights_of(specimen, layer, "attn.c_attn")[1]
    query, key = both[:, 16 * head : 16 * head + 16], both[:, 64 + 16 * head : 80 + 16 * head]
    table = query @ key.T / 4
    return table - table.mean(1, keepdim=True)


def divergence(final: Tensor, guess: Tensor) -> float:
    """D_KL(final || guess) of one place (Belrose et al. 2023, section 2), word by word."""
    p, q = (
        np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        for row in (final.double().numpy(), guess.double().numpy())
    )
    return float(sum(one * (np.log(one) - np.log(two)) for one, two in zip(p, q, strict=True)))


def translator(early: Tensor, last: Tensor, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """A and b that minimise |x + x A + b - y|^2 + penalty |A|^2, by stacked least squares."""
    x, y = early.double().numpy(), (last - early).double().numpy()
    centred = x - x.mean(0)
    penalty = ridge * (centred**2).sum(0).mean()
    rows = np.vstack([centred, np.sqrt(penalty) * np.eye(x.shape[1])])
    wanted = np.vstack([y - y.mean(0), np.zeros((x.shape[1], y.shape[1]))])
    change = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return change, y.mean(0) - x.mean(0) @ change
