"""The blue rooms: ways to look inside a model. One file per tool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from pydantic import ValidationError
from torch import Tensor

from auditgame.datasets import Dataset, Examples, TextDataset
from auditgame.exhibits import Exhibit
from auditgame.schema.errors import AuditgameError
from auditgame.schema.records import Modality, Record, ToolQuestion, explain
from auditgame.specimen import Specimen


class Stopped(Exception):
    """The person who asked for it stopped this tool."""


def no_progress(share: float, words: str) -> None:
    """The progress report that goes nowhere."""


@dataclass(frozen=True)
class ToolContext:
    """What lies on the desk beside the specimen.

    examples: the players' own pool. siblings: clean models of the same recipe.
    picture: an uploaded image, `3 h w` in [0, 1] at the data set's size, if there is one.
    progress: call with (share done, words) about once a second; it may raise Stopped.
    """

    dataset: Dataset
    examples: Examples
    references: tuple[Specimen, ...] = ()
    picture: Float[Tensor, "3 h w"] | None = None
    progress: Callable[[float, str], None] = no_progress

    @property
    def texts(self) -> TextDataset:
        """The data set, known to hold texts; AuditgameError where it holds images."""
        return TextDataset.of(self.dataset, "this tool")


def by_name(specimen: Specimen, references: Sequence[Specimen]) -> dict[str, Specimen]:
    """The specimen and the reference models under the names that exhibits give them."""
    return {"specimen": specimen} | {f"reference_{n}": m for n, m in enumerate(references, 1)}


def model_title(name: str) -> str:
    """What people see for such a name: `reference_1` is 'sibling 1'."""
    return name.replace("reference_", "sibling ")


class Tool(ABC):
    """A question put to a model. Stateless; deterministic, given its options.

    The class docstring is the help text in the app, in four paragraphs: the question it
    answers; `Reading it:` ...; `How it misleads:` ...; `Source:` ... (authors, year, arXiv).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    asks: ClassVar[ToolQuestion]
    """Under which question does a player look for it?"""
    modality: ClassVar[frozenset[Modality]]
    needs_sites: ClassVar[bool] = False
    """Does it look at units inside the model, so that one without any site does not fit?"""

    class Options(Record):
        """What can be chosen. Fields carry title, description, bounds and default; a field
        whose `json_schema_extra` has a 'widget' (site, unit, class, example, text, family,
        claim, factor, level, box, picture) is asked for in that way, one that has a 'when'
        ({option: values}) only where an option before it has one of these values, and one
        that is 'fine' is folded away."""

    @classmethod
    def fits(cls, specimen: Specimen) -> str | None:
        """Why does this tool not fit the specimen? None where it does."""
        if specimen.modality not in cls.modality:
            return f"tool '{cls.name}' does not fit {specimen.modality} models"
        if cls.needs_sites and not specimen.sites:
            return f"tool '{cls.name}' looks at convolutions, and this model has none"
        return None

    @abstractmethod
    def cost(self, options: Any, specimen: Specimen, context: ToolContext) -> int:
        """Probes: examples sent through the model; a backward pass counts once more."""

    @abstractmethod
    def run(self, specimen: Specimen, context: ToolContext, options: Any) -> list[Exhibit]:
        """Look, and show what was seen. `options` is of the tool's own Options."""


def parse_options(tool: type[Tool], data: dict[str, object]) -> Tool.Options:
    """The options in this JSON value, or an error that names the option."""
    for name in data:
        if name not in tool.Options.model_fields:
            from auditgame.registry import suggest

            raise AuditgameError(
                f"tool '{tool.name}': {suggest('option', name, tool.Options.model_fields)}"
            )
    try:
        return tool.Options.model_validate(data)
    except ValidationError as error:
        raise explain(error, f"tool '{tool.name}'") from None
