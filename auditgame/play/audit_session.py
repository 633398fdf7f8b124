"""A place to sit with one model: look at the brief, use a tool, pin evidence, hand in.

The same for a person and for a program. A desk has no way to the key.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from auditgame import __version__, bundles
from auditgame.exhibits import Exhibit
from auditgame.ledger import Ledger, Player
from auditgame.registry import load, names
from auditgame.schema.cards import Card
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import digest
from auditgame.schema.results import Receipt

if TYPE_CHECKING:
    from auditgame.datasets import Dataset, TextDataset
    from auditgame.specimen import Specimen
    from auditgame.tools import Tool, ToolContext
    from auditgame.tools.vision.microscope import Microscope

Progress = Callable[[float, str], None]


class ToolRun(NamedTuple):
    """What a tool showed, the probes charged for it, and how many are left."""

    exhibits: list[Exhibit]
    cost: int
    cached: bool
    remaining: int


class AuditSession:
    """One player at one challenge. Weights are loaded at the first look inside."""

    def __init__(
        self,
        card: Card,
        player: Player,
        ledger: Ledger,
        hand_in: Callable[[Diagnosis], Receipt],
    ) -> None:
        self.card = card
        self.player = player
        self._ledger = ledger
        self._hand_in = hand_in

    @property
    def specimen(self) -> Specimen:
        """The model on the table."""
        return _laid_out(self.card.path, self.card.commitment)[0]

    @property
    def context(self) -> ToolContext:
        """The players' examples and the clean siblings."""
        return _laid_out(self.card.path, self.card.commitment)[1]

    @property
    def dataset(self) -> Dataset:
        """What the model was trained on."""
        return load("dataset", self.card.dataset)()

    @property
    def texts(self) -> TextDataset:
        """The same, known to hold texts; AuditgameError where it holds images."""
        return TextDataset.of(self.dataset)

    @property
    def brief(self) -> str:
        """What players are told of this challenge."""
        return self.card.brief

    @property
    def microscope(self) -> Microscope:
        """Every unit of the model under the lens. Looking costs no probes."""
        return _magnified(self.card.path, self.card.commitment)

    def tools(self) -> list[str]:
        """Which tools fit this model?"""
        return [name for name in names("tool") if load("tool", name).fits(self.specimen) is None]

    def run_tool(
        self,
        tool: str,
        progress: Progress | None = None,
        picture: Any = None,
        **options: Any,
    ) -> ToolRun:
        """Put a tool's question to the model. What was asked before costs nothing again.

        picture: an uploaded image, `Float["3 h w"]`, for tools that take one.
        """
        kind, chosen, context = self._prepare(tool, options, picture, progress)
        cost = kind.cost(chosen, self.specimen, context)
        question = self._question(tool, chosen, picture)
        exhibits = self._ledger.result(question)
        cached = exhibits is not None
        if exhibits is None:
            self._require_budget(tool, cost, question)
            exhibits = kind.run(self.specimen, context, chosen)
            self._ledger.keep_result(question, exhibits)
        charged = self._ledger.record_use(
            self.player,
            self.card.id,
            tool,
            chosen.model_dump(mode="json"),
            question,
            cost,
            self.card.budget,
        )
        return ToolRun(exhibits, charged, cached, self.remaining_budget())

    def price(self, tool: str, picture: Any = None, **options: Any) -> int:
        """How many probes would this use cost, if it was not asked before?"""
        kind, chosen, context = self._prepare(tool, options, picture, None)
        return kind.cost(chosen, self.specimen, context)

    def remaining_budget(self) -> int:
        """Probes not yet spent."""
        return self.card.budget - self._ledger.spent(self.player, self.card.id)

    def pin(self, exhibit: Exhibit, note: str = "") -> None:
        """Keep an exhibit as evidence in the case file."""
        ref = {"exhibit": digest(exhibit.model_dump(mode="json"))}
        self._ledger.pin(self.player, self.card.id, ref, note or exhibit.title)

    def pins(self) -> list[Any]:
        """The evidence pinned so far."""
        return self._ledger.pins(self.player, self.card.id)

    def exhibit(self, ref: Any) -> Exhibit | None:
        """What was pinned under this reference; None where no tool showed it at this desk."""
        journal = reversed(self._ledger.journal(self.player, self.card.id))
        for question in dict.fromkeys(row.exhibits_digest for row in journal):
            for exhibit in self._ledger.result(question) or ():
                if digest(exhibit.model_dump(mode="json")) == ref["exhibit"]:
                    return exhibit
        return None

    def unpin(self, ref: Any) -> None:
        """Take a piece of evidence down."""
        self._ledger.unpin(self.player, self.card.id, ref)

    def draft(self) -> dict[str, Any] | None:
        """The unfinished case file, as it was last saved."""
        return self._ledger.draft(self.player, self.card.id)

    def save_draft(self, data: dict[str, Any]) -> None:
        """Save the unfinished case file."""
        self._ledger.save_draft(self.player, self.card.id, data)

    def submit(self, diagnosis: Diagnosis) -> Receipt:
        """Hand in. The referee judges; the ledger keeps."""
        return self._hand_in(diagnosis)

    def _prepare(
        self, tool: str, options: dict[str, Any], picture: Any, progress: Progress | None
    ) -> tuple[Tool, Any, ToolContext]:
        from dataclasses import replace

        from auditgame.tools import no_progress, parse_options

        kind = load("tool", tool)
        refusal = kind.fits(self.specimen)
        if refusal:
            raise AuditgameError(refusal)
        if picture is not None and "picture" in kind.Options.model_fields:
            options = {**options, "picture": True}
        context = replace(
            self.context,
            examples=self.context.examples.copy(),  # The cached ones serve every session.
            picture=picture,
            progress=progress or no_progress,
        )
        return kind(), parse_options(kind, options), context

    def _question(self, tool: str, options: Any, picture: Any) -> str:
        upload = None if picture is None else digest(picture.numpy().tobytes())
        chosen = options.model_dump(mode="json")
        return digest([__version__, self.card.commitment, tool, chosen, upload])

    def _require_budget(self, tool: str, cost: int, question: str) -> None:
        left = self.remaining_budget()
        if cost <= left:
            return
        journal = self._ledger.journal(self.player, self.card.id)
        if question not in {row.exhibits_digest for row in journal}:
            raise AuditgameError(
                f"tool '{tool}': costs {cost:,} queries and {left:,} are left; ask for less"
            )


@functools.lru_cache(maxsize=32)
def _laid_out(path: str, _commitment: str) -> tuple[Specimen, ToolContext]:
    """The specimen and its material, loaded once per process and shared between sessions."""
    from auditgame.bundles import bundle_io
    from auditgame.bundles.reference_models import read_references
    from auditgame.tools import ToolContext

    folder = Path(path)
    manifest = bundles.read_manifest(folder)
    dataset: Dataset = load("dataset", manifest.dataset)()
    specimen = bundle_io.read_specimen(folder, manifest.model, dataset, manifest.files)
    examples = bundle_io.read_examples(folder, dataset, manifest.files)
    references = read_references(manifest.dataset, manifest.model, dataset)
    return specimen, ToolContext(dataset, examples, references)


@functools.lru_cache(maxsize=32)
def _magnified(path: str, commitment: str) -> Microscope:
    """The microscope over a specimen, set up once per process and shared between sessions."""
    from auditgame.tools.vision.microscope import Microscope

    specimen, context = _laid_out(path, commitment)
    folder = Path(path)
    files = bundles.read_manifest(folder).files
    return Microscope(specimen, context.examples, context.references, folder, files)
