"""The contract of a tool: a question to a model, its options, its cost, its exhibits.

One file per tool; the sub-packages hold what several tools share.
"""

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
from auditgame.schema.errors import Invalid
from auditgame.schema.records import Modality, Record, ToolQuestion, explain
from auditgame.specimen import Specimen


class Stopped(Exception):
    """Raised by a progress report: whoever runs the tool wants it to stop."""


def no_progress(share: float, words: str) -> None:
    """A progress report that does nothing."""


@dataclass(frozen=True)
class ToolContext:
    """What a tool may use besides the specimen.

    examples: the players' pool. references: clean models of the same recipe.
    picture: an uploaded image, `3 h w` in [0, 1] at the data set's size, if there is one.
    progress: call with (share done, what is being done) about once a second; may raise Stopped.
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
    """The specimen and the reference models, under the names that exhibits give them."""
    return {"specimen": specimen} | {f"reference_{n}": m for n, m in enumerate(references, 1)}


def model_title(name: str) -> str:
    """What people see for such a name: `reference_1` is 'reference model 1'."""
    return name.replace("reference_", "reference model ")


class Tool(ABC):
    """A question to a model. Stateless; deterministic given its options.

    The class docstring is the help text in the app, in four paragraphs: the question it
    answers; `Reading it:` ...; `How it misleads:` ...; `Source:` ... (authors, year, arXiv).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    asks: ClassVar[ToolQuestion]
    """The question under which players find it."""
    modality: ClassVar[frozenset[Modality]]
    needs_sites: ClassVar[bool] = False
    """Does it read units inside the model? Then it does not fit a model without sites."""

    class Options(Record):
        """The options. Each field has a title, a description, bounds and a default.

        Keys of a field's `json_schema_extra`: 'widget' (site, unit, class, example, text,
        family, claim, factor, level, box, picture) names the form field; 'when' ({option:
        values}) shows it only where an earlier option has one of these values; 'fine' puts it
        among the advanced options.
        """

    @classmethod
    def fits(cls, specimen: Specimen) -> str | None:
        """Why this tool does not fit the specimen; None where it does."""
        if specimen.modality not in cls.modality:
            return f"tool '{cls.name}' does not fit {specimen.modality} models"
        if cls.needs_sites and not specimen.sites:
            return f"tool '{cls.name}' reads convolutions, and this model has none"
        return None

    @abstractmethod
    def cost(self, options: Any, specimen: Specimen, context: ToolContext) -> int:
        """Queries: examples sent through the model; a backward pass counts once more."""

    @abstractmethod
    def run(self, specimen: Specimen, context: ToolContext, options: Any) -> list[Exhibit]:
        """Run the tool. `options` is of the tool's own Options."""


def parse_options(tool: type[Tool], data: dict[str, object]) -> Tool.Options:
    """Options from a JSON value; AuditgameError names the option that is wrong."""
    for name in data:
        if name not in tool.Options.model_fields:
            from auditgame.registry import suggest

            raise Invalid(
                f"tool '{tool.name}': {suggest('option', name, tool.Options.model_fields)}"
            )
    try:
        return tool.Options.model_validate(data)
    except ValidationError as error:
        raise explain(error, f"tool '{tool.name}'") from None
