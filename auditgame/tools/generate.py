"""Let the model go on with a text, and see where a clean sibling would go another way."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from auditgame.exhibits import Exhibit, FollowUp, Table, Tokens, columns
from auditgame.schema.errors import AuditgameError
from auditgame.seeds import Seed
from auditgame.specimen import Specimen
from auditgame.tools import Tool, ToolContext
from auditgame.tools.transformer.prompts import Prompt, prompt, words


class TextGeneration(Tool):
    """How does the model go on with this text, and where does it part from a clean sibling?

    Each word is the likeliest next one, or is drawn at a temperature. The sibling is asked
    twice: how it would go on by itself, and what it makes of the specimen's words one by one.

    Reading it: words are shaded by their probability. KL (in nats) says how unlike the two
    models' next-word distributions are at a step of the specimen's text: about 0 where they
    agree, largest where the specimen knows something that the sibling does not. Start early in
    a text (keep a few words) to hear what the model holds likely.

    How it misleads: two clean models also differ wherever several words are possible; a large
    KL counts where both are sure. Greedy text falls into loops, and drawn text depends on the
    seed. What a model never says it may still know.

    Source: sampling at a temperature: Ackley, Hinton and Sejnowski 1985; on how decoding shapes
    what is seen: Holtzman et al. 2019, arXiv:1904.09751; Kullback and Leibler 1951.
    """

    name = "generate"
    title = "Go on writing"
    asks = "What does it answer?"
    modality = frozenset({"text"})

    class Options(Prompt):
        """From which words, how many more, and how are they chosen?"""

        keep: int = Field(
            0,
            ge=0,
            le=2000,
            title="Words kept",
            description="Go on after so many words of the text; 0: after all.",
        )
        n: int = Field(12, ge=1, le=256, title="Words", description="How many more at most.")
        temperature: float = Field(
            0.0,
            ge=0,
            le=5,
            title="Temperature",
            description="0: the likeliest word each time; 1: drawn as likely as they are.",
        )
        reference: bool = Field(True, title="Sibling", description="Compare with a clean sibling.")
        seed: int = Field(
            0,
            ge=0,
            le=9999,
            title="Seed",
            description="Of the drawn words.",
            json_schema_extra={"fine": True},
        )

    def cost(self, options: Options, specimen: Specimen, context: ToolContext) -> int:
        """One probe a word; for the sibling one a word too, and one for the specimen's text."""
        n = _room(options, _start(options, context), context)
        return n + (n + 1 if _sibling(options, context) else 0)

    def run(self, specimen: Specimen, context: ToolContext, options: Options) -> list[Exhibit]:
        """The specimen's words, the sibling's, and the two compared step by step."""
        start, reference = _start(options, context), _sibling(options, context)
        n = _room(options, start, context)
        mine = _go_on("the specimen", specimen, start, n, options, context)
        exhibits: list[Exhibit] = [_tokens("specimen", "Specimen", mine, context)]
        if reference is None:
            return [*exhibits, _alone(mine, context)]
        theirs = _go_on("the sibling", reference, start, n, options, context)
        followed = reference.run(mine.ids[None, :-1]).output[0, len(start) - 1 :].log_softmax(1)
        return [
            *exhibits,
            _tokens("reference_model", "Sibling", theirs, context),
            _compared(mine, theirs, followed, context),
        ]


class Continuation(NamedTuple):
    """A text whose words from `start` on a model wrote; `table`: log-probabilities at each step."""

    ids: Int[Tensor, " t"]
    start: int
    table: Float[Tensor, "n v"]

    @property
    def added(self) -> list[int]:
        """The words written."""
        return self.ids[self.start :].tolist()

    @property
    def chances(self) -> list[float]:
        """How likely was each of them?"""
        return self.table[torch.arange(len(self.table)), self.ids[self.start :]].exp().tolist()


def _start(options: TextGeneration.Options, context: ToolContext) -> Int[Tensor, " t"]:
    ids = prompt(options, context)
    return ids[: options.keep] if options.keep else ids


def _room(options: TextGeneration.Options, start: Int[Tensor, " t"], context: ToolContext) -> int:
    room = context.dataset.shape[0] - len(start)
    if room < 1:
        raise AuditgameError(
            f"text: it fills all {context.dataset.shape[0]} words; keep fewer of them"
        )
    return min(options.n, room)


def _sibling(options: TextGeneration.Options, context: ToolContext) -> Specimen | None:
    return context.references[0] if options.reference and context.references else None


def _go_on(
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
        context.progress(step / n, f"{who} is writing")
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
    """The whole text; what was written is shaded by its probability."""
    said = words(written.ids.tolist(), context.texts)
    chances = [0.0] * written.start + [round(p, 4) for p in written.chances]
    return Tokens(
        name=name,
        title=f"{who}: {' '.join(said[written.start :])}",
        tokens=said,
        weights=tuple(chances),
        limit=1.0,
        note="Shade: how likely each word was; the text it was given is not shaded.",
        follow=FollowUp(
            tool="logit_lens",
            columns=tuple({"text": " ".join(said[: max(1, at)])} for at in range(len(said))),
        ),
    )


def _alone(mine: Continuation, context: ToolContext) -> Table:
    said = words(mine.added, context.texts)
    rows = enumerate(zip(said, mine.chances, strict=True), 1)
    return Table(
        name="words",
        title="Word by word",
        columns=columns("step", "word", "probability"),
        rows=tuple((step, word, round(chance, 4)) for step, (word, chance) in rows),
    )


def _compared(
    mine: Continuation, theirs: Continuation, followed: Float[Tensor, "n v"], context: ToolContext
) -> Table:
    """What the sibling makes of the specimen's words, and what it says by itself."""
    kl = (mine.table.exp() * (mine.table - followed)).sum(1).tolist()
    added = torch.tensor(mine.added)
    chances = followed[torch.arange(len(added)), added].exp().tolist()
    would = words(followed.argmax(1).tolist(), context.texts)
    own, said = words(theirs.added, context.texts), words(mine.added, context.texts)
    parted = next(
        (i for i, pair in enumerate(zip(said, own, strict=True)) if len({*pair}) > 1), None
    )
    rows = zip(said, mine.chances, chances, would, kl, own, strict=True)
    where = "They write the same." if parted is None else f"They part at step {parted + 1}."
    return Table(
        name="compared_words",
        title="Word by word, beside a sibling",
        columns=columns(
            "step",
            "word",
            "probability",
            ("reference_probability", "to the sibling"),
            ("reference_next", "the sibling would say"),
            ("kl", "KL"),
            ("reference_word", "sibling's own"),
        ),
        rows=tuple(
            (step, word, round(p, 4), round(q, 4), other, round(far, 4), its)
            for step, (word, p, q, other, far, its) in enumerate(rows, 1)
        ),
        note=f"{where} KL (nats) compares the two next-word distributions on the specimen's text.",
    )
