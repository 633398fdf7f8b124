"""Audit sessions: one player at one challenge, who runs tools, pins evidence and submits.

The same for a person and for a program. A session has no access to the key.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from auditgame import bundles
from auditgame.exhibits import Exhibit
from auditgame.ledger import Ledger, Player, Question
from auditgame.play.source_digest import source_digest
from auditgame.registry import load, usable
from auditgame.schema.cards import Card
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import Forbidden, Invalid
from auditgame.schema.records import digest
from auditgame.schema.results import Receipt

if TYPE_CHECKING:
    from auditgame.datasets import Dataset, TextDataset
    from auditgame.specimen import Specimen
    from auditgame.tools import Tool, ToolContext
    from auditgame.tools.vision.microscope import Microscope

Progress = Callable[[float, str], None]


class ToolRun(NamedTuple):
    """The exhibits of a tool, the queries charged for them, and the queries left."""

    exhibits: list[Exhibit]
    cost: int
    cached: bool
    remaining: int


class AuditSession:
    """One player at one challenge. Weights are loaded when they are first needed."""

    def __init__(
        self,
        card: Card,
        player: Player,
        ledger: Ledger,
        submit: Callable[[Diagnosis], Receipt],
    ) -> None:
        self.card = card
        self.player = player
        self._ledger = ledger
        self._submit = submit

    @property
    def specimen(self) -> Specimen:
        """The model under audit."""
        return _loaded(self.card.path, self.card.commitment)[0]

    @property
    def context(self) -> ToolContext:
        """The players' examples and the reference models."""
        return _loaded(self.card.path, self.card.commitment)[1]

    @property
    def dataset(self) -> Dataset:
        """The data set that the model was trained on."""
        return load("dataset", self.card.dataset)()

    @property
    def texts(self) -> TextDataset:
        """The same, known to hold texts; AuditgameError where it holds images."""
        from auditgame.datasets import TextDataset

        return TextDataset.of(self.dataset)

    @property
    def brief(self) -> str:
        """The text that introduces the challenge."""
        return self.card.brief

    @property
    def microscope(self) -> Microscope:
        """Pictures and statistics of every unit of the model. They cost no queries."""
        return _microscope(self.card.path, self.card.commitment)

    def tools(self) -> list[str]:
        """The tools that fit this model."""
        return [name for name in usable("tool") if load("tool", name).fits(self.specimen) is None]

    def run_tool(
        self,
        tool: str,
        progress: Progress | None = None,
        picture: Any = None,
        **options: Any,
    ) -> ToolRun:
        """Run a tool on the model. The same run again costs nothing.

        picture: an uploaded image, `Float["3 h w"]`, for tools that take one.
        """
        kind, chosen, context = self._prepare(tool, options, picture, progress)
        cost = kind.cost(chosen, self.specimen, context)
        upload = "" if picture is None else digest(picture.numpy().tobytes())
        question = Question(tool, chosen.model_dump(mode="json"), upload)
        answer = self._answer(question)
        exhibits = self._ledger.result(answer)
        cached = exhibits is not None
        if exhibits is None:
            self._require_budget(cost, question)
            exhibits = kind.run(self.specimen, context, chosen)
            self._ledger.keep_result(answer, exhibits)
        charged = self._ledger.record_use(
            self.player, self.card.id, question, answer, cost, self.card.budget
        )
        return ToolRun(exhibits, charged, cached, self.remaining_budget())

    def price(self, tool: str, picture: Any = None, **options: Any) -> int:
        """The queries that this run would cost, unless it was made before."""
        kind, chosen, context = self._prepare(tool, options, picture, None)
        return kind.cost(chosen, self.specimen, context)

    def remaining_budget(self) -> int:
        """The queries not yet spent."""
        return self.card.budget - self._ledger.spent(self.player, self.card.id)

    def pin(self, exhibit: Exhibit, note: str = "") -> None:
        """Keep an exhibit as evidence for the diagnosis."""
        ref = {"exhibit": digest(exhibit.model_dump(mode="json"))}
        self._ledger.pin(self.player, self.card.id, ref, note or exhibit.title)

    def pins(self) -> list[Any]:
        """The evidence pinned so far."""
        return self._ledger.pins(self.player, self.card.id)

    def exhibit(self, ref: Any) -> Exhibit | None:
        """The exhibit of this reference; None where no tool showed it in this session."""
        journal = reversed(self._ledger.journal(self.player, self.card.id))
        for question in dict.fromkeys(row.exhibits_digest for row in journal):
            for exhibit in self._ledger.result(question) or ():
                if digest(exhibit.model_dump(mode="json")) == ref["exhibit"]:
                    return exhibit
        return None

    def unpin(self, ref: Any) -> None:
        """Remove an exhibit from the evidence."""
        self._ledger.unpin(self.player, self.card.id, ref)

    def draft(self) -> dict[str, Any] | None:
        """The unfinished diagnosis, as it was last saved."""
        return self._ledger.draft(self.player, self.card.id)

    def save_draft(self, data: dict[str, Any]) -> None:
        """Save the unfinished diagnosis."""
        self._ledger.save_draft(self.player, self.card.id, data)

    def submit(self, diagnosis: Diagnosis) -> Receipt:
        """Submit a diagnosis: the referee judges it, the ledger records it."""
        return self._submit(diagnosis)

    def _prepare(
        self, tool: str, options: dict[str, Any], picture: Any, progress: Progress | None
    ) -> tuple[Tool, Any, ToolContext]:
        from dataclasses import replace

        from auditgame.tools import no_progress, parse_options

        kind = load("tool", tool)
        refusal = kind.fits(self.specimen)
        if refusal:
            raise Invalid(refusal)
        if picture is not None and "picture" in kind.Options.model_fields:
            options = {**options, "picture": True}
        context = replace(
            self.context,
            examples=self.context.examples.copy(),  # The cached ones serve every session.
            picture=picture,
            progress=progress or no_progress,
        )
        return kind(), parse_options(kind, options), context

    def _answer(self, question: Question) -> str:
        """Under which digest is the answer kept? Changed code answers anew."""
        family = question.options.get("family")
        plugins = [
            load("tool", question.tool),
            load("dataset", self.card.dataset),
            load("model", self.card.model),
            *([load("flaw", family)] if family else []),
        ]
        source = source_digest(*(plugin.__module__ for plugin in plugins))
        return digest([source, self.card.commitment, *question])

    def _require_budget(self, cost: int, question: Question) -> None:
        left = self.remaining_budget()
        if cost > left and not self._ledger.asked(self.player, self.card.id, question):
            raise Forbidden(
                f"tool '{question.tool}': costs {cost:,} queries and {left:,} are left; "
                "ask for less"
            )


@functools.lru_cache(maxsize=32)
def _loaded(path: str, _commitment: str) -> tuple[Specimen, ToolContext]:
    """The specimen and its context, loaded once per process and shared between sessions."""
    from auditgame.bundles import bundle_io
    from auditgame.bundles.reference_models import read_references
    from auditgame.tools import ToolContext

    folder = Path(path)
    manifest = bundles.read_manifest(folder)
    dataset = load("dataset", manifest.dataset)()
    specimen = bundle_io.read_specimen(folder, manifest.model, dataset, manifest.files)
    examples = bundle_io.read_examples(folder, dataset, manifest.files)
    references = read_references(manifest.dataset, manifest.model, dataset)
    return specimen, ToolContext(dataset, examples, references)


@functools.lru_cache(maxsize=32)
def _microscope(path: str, commitment: str) -> Microscope:
    """The microscope of a specimen, made once per process and shared between sessions."""
    from auditgame.tools.vision.microscope import Microscope

    specimen, context = _loaded(path, commitment)
    folder = Path(path)
    files = bundles.read_manifest(folder).files
    return Microscope(specimen, context.examples, context.references, folder, files)
