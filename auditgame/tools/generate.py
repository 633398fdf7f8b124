"""Text generation, with a reference model's predictions at each step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, FollowUp, Table, Tokens, columns
from auditgame.schema.errors import Invalid
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.prompts import Prompt, prompt, words


class TextGeneration(Tool):
    """How does the model continue this text, and where does a clean model differ?

    Each word is the most probable next one, or is sampled at a temperature. The reference model
    is used twice: for a continuation of its own, and for its predictions at each word of the
    specimen's.

    Reading it: words are shaded by their probability. KL (in nats) compares the two
    models' next-word distributions at each step of the specimen's text: about 0 where they
    agree, largest where the specimen has learned something that the reference model has not.
    Keep only a few words of a text to see what the model finds probable.

    How it misleads: two clean models also differ wherever several words are possible; a large
    KL counts where both are certain. Greedy text falls into loops, and sampled text depends on
    the seed. A model can know what it never generates.

    Source: sampling at a temperature: Ackley, Hinton and Sejnowski 1985; on how decoding shapes
    what is seen: Holtzman et al. 2019, arXiv:1904.09751; Kullback and Leibler 1951.
    """

    name = "generate"
    title = "Text generation"
    asks = "What does it answer?"
    modality = frozenset({"text"})

    class Options(Prompt):
        """The text to continue, how far, and how words are chosen."""

        keep: int = Field(
            0,
            ge=0,
            le=2000,
            title="Words kept",
            description="Continue after so many words of the text; 0: after all.",
        )
        n: int = Field(12, ge=1, le=256, title="Words", description="Words generated, at most.")
        temperature: float = Field(
            0.0,
            ge=0,
            le=5,
            title="Temperature",
            description="0: always the most probable word; 1: sampled from the distribution.",
        )
        reference: bool = Field(
            True, title="Reference model", description="Compare with a clean model."
        )
        seed: int = Field(
            0,
            ge=0,
            le=9999,
            title="Seed",
            description="Of the sampled words.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One query a word; for the reference model the same, and one for the specimen's text."""
        n = _room(options, _start(options, context), context)
        return n + (n + 1 if _reference(options, context) else 0)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The two continuations, and the comparison step by step."""
        start, reference = _start(options, context), _reference(options, context)
        n = _room(options, start, context)
        own = _continue("the specimen", specimen, start, n, options, context)
        exhibits: list[Exhibit] = [_tokens("specimen", "Specimen", own, context)]
        if reference is None:
            return [*exhibits, _alone(own, context)]
        other = _continue("the reference model", reference, start, n, options, context)
        followed = reference.run(own.ids[None, :-1]).output[0, len(start) - 1 :].log_softmax(1)
        return [
            *exhibits,
            _tokens("reference_model", "Reference model", other, context),
            _compared(own, other, followed, context),
        ]


class Continuation(NamedTuple):
    """A text and its generated words from `start` on; `table`: log-probabilities by step."""

    ids: Int[Tensor, " t"]
    start: int
    table: Float[Tensor, "n v"]

    @property
    def added(self) -> list[int]:
        """The generated words."""
        return self.ids[self.start :].tolist()

    @property
    def probabilities(self) -> list[float]:
        """The probability of each."""
        return self.table[torch.arange(len(self.table)), self.ids[self.start :]].exp().tolist()


def _start(options: TextGeneration.Options, context: ToolContext) -> Int[Tensor, " t"]:
    ids = prompt(options, context)
    return ids[: options.keep] if options.keep else ids


def _room(options: TextGeneration.Options, start: Int[Tensor, " t"], context: ToolContext) -> int:
    room = context.dataset.shape[0] - len(start)
    if room < 1:
        raise Invalid(
            f"text: it fills the context of {context.dataset.shape[0]} words; keep fewer of them"
        )
    return min(options.n, room)


def _reference(options: TextGeneration.Options, context: ToolContext) -> Specimen | None:
    return context.references[0] if options.reference and context.references else None


def _continue(
    who: str,
    model: Specimen,
    start: Int[Tensor, " t"],
    n: int,
    options: TextGeneration.Options,
    context: ToolContext,
) -> Continuation:
    rng = torch.Generator().manual_seed(Seed.of(options.seed).child("words").integer())
    ids, steps = start, []
    for step in range(n):
        context.progress(step / n, f"{who} generates")
        logits = model.run(ids[None]).output[0, -1]
        steps.append(logits.log_softmax(0))
        if options.temperature:
            chances = (logits / options.temperature).softmax(0)
            word = torch.multinomial(chances, 1, generator=rng)
        else:
            word = logits.argmax(0, keepdim=True)
        ids = torch.cat([ids, word])
    return Continuation(ids, len(start), torch.stack(steps))


def _tokens(name: str, who: str, written: Continuation, context: ToolContext) -> Tokens:
    """The whole text; generated words are shaded by their probability."""
    tokens = words(written.ids.tolist(), context.texts)
    chances = [0.0] * written.start + [round(p, 4) for p in written.probabilities]
    return Tokens(
        name=name,
        title=f"{who}: {' '.join(tokens[written.start :])}",
        tokens=tokens,
        weights=tuple(chances),
        limit=1.0,
        note="Shade: the probability of each generated word; the given text is not shaded.",
        follow=FollowUp(
            tool="logit_lens",
            columns=tuple({"text": " ".join(tokens[: max(1, at)])} for at in range(len(tokens))),
        ),
    )


def _alone(own: Continuation, context: ToolContext) -> Table:
    written = words(own.added, context.texts)
    rows = enumerate(zip(written, own.probabilities, strict=True), 1)
    return Table(
        name="words",
        title="Word by word",
        columns=columns("step", "word", "probability"),
        rows=tuple((step, word, round(chance, 4)) for step, (word, chance) in rows),
    )


def _compared(
    own: Continuation, other: Continuation, followed: Float[Tensor, "n v"], context: ToolContext
) -> Table:
    """The reference model's predictions on the specimen's words, and its own continuation."""
    kl = (own.table.exp() * (own.table - followed)).sum(1).tolist()
    added = torch.tensor(own.added)
    probabilities = followed[torch.arange(len(added)), added].exp().tolist()
    expected = words(followed.argmax(1).tolist(), context.texts)
    written, others = words(own.added, context.texts), words(other.added, context.texts)
    pairs = enumerate(zip(written, others, strict=True), 1)
    first = next((step for step, (one, two) in pairs if one != two), None)
    rows = zip(written, own.probabilities, probabilities, expected, kl, others, strict=True)
    where = "Both are the same." if first is None else f"They differ from step {first} on."
    return Table(
        name="compared_words",
        title="Word by word, with a reference model",
        columns=columns(
            "step",
            "word",
            "probability",
            ("reference_probability", "probability, reference model"),
            ("reference_next", "most probable, reference model"),
            ("kl", "KL"),
            ("reference_word", "own continuation, reference model"),
        ),
        rows=tuple(
            (step, word, round(p, 4), round(q, 4), probable, round(divergence, 4), continued)
            for step, (word, p, q, probable, divergence, continued) in enumerate(rows, 1)
        ),
        note=f"{where} KL (nats) compares the next-word distributions on the specimen's text.",
    )
