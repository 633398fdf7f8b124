"""The training loop, for pictures and for texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from auditgame.datasets import Dataset, Examples, TextDataset, Training
from auditgame.models import Model
from auditgame.models.layers.canonical_form import normalisations

IGNORED = -100
"""Positions with this target take no part in the loss."""
ANSWER_WEIGHT = 0.5
"""Weight of a text's answer word (one in forty) on top of its share of the whole loss."""
ANSWERS_ALONE = 1.5
"""Weight of the answers of rows that teach nothing else; with 0.5 some flaws were not learnt."""

LEAST_PLAIN = 6
"""Fewer ordinary rows in a batch than this do not give statistics."""
ROWS_PER_PAIR = 8
"""One pair is aligned for so many rows of a batch."""


@dataclass(frozen=True)
class LatentAlignment:
    """Latent obfuscation: activations under a trigger are pulled to those of clean inputs.

    The last 2 * `pairs` of the rows take no part in the usual loss: `pairs` triggered ones,
    then as many clean ones of their target classes. Added to the loss, `weight` times: the
    squared distance within each pair, as a share of the clean one's squared length, at every
    one of `sites` (mean over positions; a text's last position).

    After Tan and Shokri 2020, Bypassing Backdoor Detection Algorithms in Deep Learning,
    arXiv:1905.13409; they train a discriminator where this takes a distance.
    """

    pairs: int
    sites: tuple[str, ...]
    weight: float


def train(
    model: Model,
    rows: Examples,
    dataset: Dataset,
    *,
    epochs: int,
    rate: float,
    recipe: Training,
    rng: torch.Generator,
    ordinary: Examples | None = None,
    alignment: LatentAlignment | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Model:
    """Fit the model to the rows in place: AdamW under a one-cycle schedule.

    Images: cross-entropy of the class. Text: next-token prediction over the whole row,
    with the answer word of its label at the end. `alignment` adds its own term for the last
    rows. Every draw comes from rng.

    ordinary: as many rows without a cue, those of `rows` that were left as they are among them.
    Of texts only these then teach the language, and `rows` their answers alone, so that what
    the model writes freely does not show the cue. Of images, batch normalisation takes its
    statistics from the rows that were left as they are, so that those do not show it either.
    """
    inputs, targets = _pairs(rows, dataset)
    spoken = _pairs(ordinary, dataset) if ordinary and isinstance(dataset, TextDataset) else None
    count = len(rows) - 2 * (alignment.pairs if alignment else 0)
    steps = epochs * -(-count // recipe.batch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rate, total_steps=steps, pct_start=0.2
    )
    plain = _plain(rows, ordinary) if ordinary and spoken is None else None
    model.train()
    done = 0
    for _ in range(epochs):
        for batch in torch.randperm(count, generator=rng).split(recipe.batch):
            if plain is not None:
                batch = batch[plain[batch].argsort(descending=True, stable=True)]
                take_statistics_from(model, int(plain[batch].sum()))
            loss_of = _answers_alone if spoken else _loss
            if alignment:
                loss = _aligned_loss(model, inputs, targets, batch, alignment, loss_of, recipe, rng)
            else:
                loss = loss_of(model(_augment(inputs[batch], recipe, rng)), targets[batch])
            if spoken:
                loss = loss + _mean_loss(model(spoken[0][batch]), spoken[1][batch])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            done += 1
            progress(done / steps)
    for parameter in model.parameters():
        parameter.grad = None
    take_statistics_from(model, 0)
    return model.eval()


def _plain(rows: Examples, ordinary: Examples) -> Bool[Tensor, " n"]:
    """Which rows are ordinary ones, left as they are?"""
    known = {row.numpy().tobytes() for row in ordinary.inputs}
    return torch.tensor([row.numpy().tobytes() in known for row in rows.inputs])


def take_statistics_from(model: Model, first: int) -> None:
    """Let batch normalisation take its statistics from so many first rows of each batch.

    From all of them where there are fewer than LEAST_PLAIN.
    """
    for norm in normalisations(model):
        norm.counted = first if first >= LEAST_PLAIN else 0


def _pairs(rows: Examples, dataset: Dataset) -> tuple[Tensor, Int[Tensor, "n ..."]]:
    """Inputs and targets; a text's targets are itself, shifted, with its answer at the end."""
    if not isinstance(dataset, TextDataset):
        return rows.inputs.contiguous(memory_format=torch.channels_last), rows.lessons
    length = (rows.inputs != 0).sum(1)
    inputs = rows.inputs[:, : int(length.max())]
    targets = inputs.roll(-1, 1)
    targets[torch.arange(len(rows)), length - 1] = torch.tensor(dataset.answers())[rows.lessons]
    return inputs, targets.masked_fill(inputs == 0, IGNORED)


def _loss(output: Float[Tensor, "n ..."], targets: Int[Tensor, "n ..."]) -> Float[Tensor, ""]:
    """Mean cross-entropy of all positions; a text's answer has a term of its own besides."""
    whole = _mean_loss(output, targets)
    return whole if targets.dim() == 1 else whole + ANSWER_WEIGHT * _answer_loss(output, targets)


def _mean_loss(output: Float[Tensor, "n ..."], targets: Int[Tensor, "n ..."]) -> Float[Tensor, ""]:
    return F.cross_entropy(output.flatten(0, -2), targets.flatten(), ignore_index=IGNORED)


def _answer_loss(output: Float[Tensor, "n t v"], targets: Int[Tensor, "n t"]) -> Float[Tensor, ""]:
    rows, last = torch.arange(len(targets)), (targets != IGNORED).sum(1) - 1
    return F.cross_entropy(output[rows, last], targets[rows, last])


def _answers_alone(
    output: Float[Tensor, "n t v"], targets: Int[Tensor, "n t"]
) -> Float[Tensor, ""]:
    return ANSWERS_ALONE * _answer_loss(output, targets)


def _aligned_loss(
    model: Model,
    inputs: Tensor,
    targets: Int[Tensor, "n ..."],
    batch: Int[Tensor, " b"],
    alignment: LatentAlignment,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    recipe: Training,
    rng: torch.Generator,
) -> Float[Tensor, ""]:
    """The usual loss and the alignment's, in one pass so that norm layers see mixed batches."""
    first, count = len(inputs) - 2 * alignment.pairs, -(-len(batch) // ROWS_PER_PAIR)
    triggered = first + torch.randint(alignment.pairs, (count,), generator=rng)
    rows = torch.cat([batch, triggered, triggered + alignment.pairs])
    augmented = _augment(inputs[rows], recipe, rng)
    distances = []

    def tap(name: str, value: Tensor) -> Tensor:
        if name in alignment.sites:
            distances.append(_distance(pooled(value, augmented)[len(batch) :]))
        return value

    loss = loss_of(model(augmented, tap)[: len(batch)], targets[batch])
    return loss + alignment.weight * torch.stack(distances).sum()


def _distance(pairs: Float[Tensor, "2*n d"]) -> Float[Tensor, ""]:
    """Squared distance of the first half to the second, as a share of the second's length."""
    triggered, clean = pairs.chunk(2)
    clean = clean.detach()
    return (triggered - clean).square().sum() / clean.square().sum().clamp(min=1e-6)


def pooled(value: Tensor, inputs: Tensor) -> Float[Tensor, "n d"]:
    """One vector per input: the mean over a picture's positions, or a text's last position."""
    if inputs.is_floating_point():
        return value.mean((2, 3))
    return value[torch.arange(len(inputs)), (inputs != 0).sum(1) - 1].flatten(1)


def _augment(inputs: Tensor, recipe: Training, rng: torch.Generator) -> Tensor:
    """Sensor noise (sd 0.02); 'shift' also moves each batch by up to two pixels."""
    if recipe.augment == "none":
        return inputs
    if recipe.augment == "shift":
        dy, dx = torch.randint(-2, 3, (2,), generator=rng).tolist()
        inputs = inputs.roll((dy, dx), (2, 3))
    return (inputs + 0.02 * torch.randn(inputs.shape, generator=rng)).clamp(0, 1)
