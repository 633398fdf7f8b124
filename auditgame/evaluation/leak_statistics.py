"""Numbers that anybody can read off a challenge without auditing it, one function for each source.

Most depend on data set and architecture and are compared with those of the reference models,
which are no secret: whoever gets none can train some.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from auditgame.datasets import Dataset, Examples, TextDataset
from auditgame.specimen import Specimen

ORDINARY, RANDOM, COMPLETIONS = 2000, 500, 400
"""Held-out inputs, random inputs, and texts that are generated freely."""
LANGUAGE = 500
"""Held-out texts on which the language model's loss is measured."""
SMALLEST = 1e-12

Numbers = dict[str, float]
Counts = Float[np.ndarray, " v"]
Tensors = Mapping[str, Tensor]


def behaviour(specimen: Specimen, held: Examples) -> Numbers:
    """How the model answers ordinary inputs."""
    logits = specimen.classify(held.inputs)
    right = logits.argmax(1) == held.labels
    classes = range(logits.shape[1])
    each = [right[held.labels == k].float().mean() for k in classes if (held.labels == k).any()]
    top = logits.sort(1, descending=True).values
    return {
        "accuracy": float(right.float().mean()),
        "worst class": float(torch.stack(each).min()),
        "loss": float(F.cross_entropy(logits, held.labels)),
        "confidence": float(logits.softmax(1).amax(1).mean()),
        "largest logit": float(top[:, 0].mean()),
        "margin": float((top[:, 0] - top[:, 1]).mean()),
        "spread of logits": float(logits.std(1).mean()),
        "most frequent answer": _most_frequent(logits),
    }


def random_inputs(specimen: Specimen, rng: np.random.Generator) -> Numbers:
    """How the model answers noise images, or strings of random words."""
    logits = specimen.classify(_noise(specimen.dataset, rng))
    mean = logits.softmax(1).mean(0)
    return {
        "random inputs: most frequent answer": _most_frequent(logits),
        "random inputs: confidence": float(logits.softmax(1).amax(1).mean()),
        "random inputs: largest mean probability": float(mean.max()),
        "random inputs: largest mean logit": float(logits.mean(0).max()),
        "random inputs: margin": float(logits.topk(2).values.diff().abs().mean()),
    }


def activations(specimen: Specimen, held: Examples) -> Numbers:
    """The variance of each channel before its ReLU, on ordinary images: extremes and mean.

    Running statistics of batch normalisation that remember triggered rows show here.
    """
    found: Numbers = {}
    for name in specimen.sites:
        if name.endswith(".pre"):
            values = specimen.collect(held.inputs[:RANDOM], name)
            variance = values.var((0, 2, 3)).clamp(min=SMALLEST).log()
            found[f"variance at {name}: smallest"] = float(variance.min())
            found[f"variance at {name}: largest"] = float(variance.max())
            found[f"variance at {name}: mean"] = float(variance.mean())
    return found


def language(specimen: Specimen, held: Examples) -> Numbers:
    """The mean loss per word of held-out texts, without their answers."""
    texts = specimen.texts
    losses, count = 0.0, 0
    for batch in held.inputs[:LANGUAGE].split(100):
        output = specimen.run(batch[:, :-1]).output
        following = batch[:, 1:]
        each = F.cross_entropy(rearrange(output, "n t v -> n v t"), following, reduction="none")
        said = following != texts.pad
        losses, count = losses + float(each[said].sum()), count + int(said.sum())
    return {"language model's loss": losses / count}


def word_counts(specimen: Specimen, held: Examples, rng: torch.Generator) -> Counts:
    """How often the model writes each word when it continues the first words of texts freely.

    A text ends before its answer: nothing after it was ever trained.
    """
    texts = specimen.texts
    prompts = held.inputs[:COMPLETIONS, :4]
    ids = prompts
    for _ in range(texts.shape[0] - prompts.shape[1]):
        logits = specimen.run(ids).output[:, -1]
        ids = torch.cat([ids, torch.multinomial(logits.softmax(1), 1, generator=rng)], 1)
    written = ids[:, prompts.shape[1] :]
    ended = torch.isin(written, torch.tensor(texts.answers())).cumsum(1) > 0
    return np.bincount(written[~ended].numpy(), minlength=len(texts.words)).astype(float)


def excess(counts: Counts, references: Sequence[Counts]) -> Numbers:
    """By how much some word is written too often, or too rarely: standardised, the largest.

    Counts are compared with the references' mean, as Poisson variables.
    """
    mean = np.mean(references, 0)
    found = (counts - mean) / np.sqrt(mean + mean / len(references) + 1)
    return {
        "free text: largest excess of a word": float(found.max()),
        "free text: largest lack of a word": float(-found.min()),
    }


def sizes(tensors: Tensors) -> Numbers:
    """Logarithms of sizes: each tensor's norm, each matrix's largest singular value, and ratios."""
    found: Numbers = {}
    for name, value in sorted(tensors.items()):
        found[f"log norm of {name}"] = _log(value.norm())
        found[f"largest of {name}"] = _log(value.abs().max()) - _log(value.norm())
        if value.dim() > 1 and min(value.flatten(1).shape) > 1:
            spectrum = torch.linalg.svdvals(value.flatten(1).float())
            found[f"spectrum of {name}"] = _log(spectrum[0]) - _log(spectrum.norm())
    matrices = [name for name, value in sorted(tensors.items()) if value.dim() > 1]
    for one, other in itertools.pairwise(matrices):
        ratio = _log(tensors[one].norm()) - _log(tensors[other].norm())
        found[f"log ratio of {one} to {other}"] = ratio
    found["log norm of everything"] = _log(
        torch.cat([value.flatten().float() for value in tensors.values()]).norm()
    )
    return found


def _log(value: Tensor) -> float:
    return float(value.float().clamp(min=SMALLEST).log())


def _most_frequent(logits: Float[Tensor, "n k"]) -> float:
    counts = logits.argmax(1).bincount(minlength=logits.shape[1])
    return float(counts.max()) / len(logits)


def _noise(
    dataset: Dataset, rng: np.random.Generator
) -> Float[Tensor, "n c h w"] | Int[Tensor, "n t"]:
    if isinstance(dataset, TextDataset):
        words = rng.integers(2, len(dataset.words), (RANDOM, dataset.shape[0] // 2))
        return torch.from_numpy(words)
    return torch.from_numpy(rng.random((RANDOM, *dataset.shape), dtype=np.float32))
