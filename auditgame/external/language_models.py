"""A language model from elsewhere on the table, with texts beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from auditgame.external.decoder import LAYOUTS, open_decoder
from auditgame.external.external_gpt2 import KIND, open_gpt2
from auditgame.external.external_model import Reader
from auditgame.external.external_session import ExternalSession
from auditgame.external.model_folder import ModelFolder, open_folder
from auditgame.external.text_inputs import TextInput, load_texts, own_vocabulary, read_texts
from auditgame.external.tokenizers import Tokenizer, read_tokenizer
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import BATCH, Specimen
from auditgame.tools import ToolContext

LIKELIEST = 10
"""Answers that are compared where nobody names any."""


def load_language_model(
    model: str,
    texts: Path | None = None,
    prompts: Sequence[str] = (),
    answers: Sequence[str] = (),
    most: int = 400,
) -> ExternalSession:
    """Put a language model that was built and trained elsewhere on the table.

    model: `hf:FOLDER`. texts: a file, see `writing.read_texts`. prompts: texts as they are.
    answers: the words to compare where a text ends, each one piece of the tokenizer; by
    default the labels of the file, or else the words that are likeliest there.
    Raises AuditgameError, naming what does not fit.
    """
    folder = open_folder(model)
    network = _network(folder)
    pieces = read_tokenizer(folder, network.rows)
    return _laid(network, pieces, _spread(_written(texts, prompts), most), answers)


def _network(folder: ModelFolder) -> Reader:
    if folder.kind == KIND:
        return open_gpt2(folder)
    if folder.kind in LAYOUTS:
        return open_decoder(folder)
    known = ", ".join(sorted([KIND, *LAYOUTS]))
    raise AuditgameError(
        f"{folder.where}: architecture '{folder.kind}' is not supported; these are: {known}"
    )


def _written(texts: Path | None, prompts: Sequence[str]) -> list[TextInput]:
    found = read_texts(texts) if texts else []
    found += [TextInput(text, "", f"prompt {number}") for number, text in enumerate(prompts, 1)]
    if not found:
        raise AuditgameError("texts: a language model needs some; name a file, or type a prompt")
    return found


def _spread(written: list[TextInput], most: int) -> list[TextInput]:
    """At most so many of the texts, evenly over the whole."""
    n = len(written)
    rows = np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(int))
    return [written[row] for row in rows]


def _laid(
    network: Reader, pieces: Tokenizer, written: list[TextInput], answers: Sequence[str]
) -> ExternalSession:
    named, notes = answers or sorted({one.label for one in written if one.label}), []
    if named:
        chosen = [(word, _answer(pieces, word)) for word in named]
        _require_distinct(chosen, pieces)
    else:
        chosen = _likeliest(network, pieces, written)
        told = ", ".join(name for name, _ in chosen)
        notes.append(f"Answers compared: the likeliest next words of these texts, {told}.")
    dataset = load_texts(pieces, network.context, written, chosen)
    specimen, pool = Specimen(network, dataset), dataset.pool
    unlabelled = pool.labels < 0
    if unlabelled.any():
        said = specimen.predict(pool.inputs)
        type(dataset).pool = pool.relabel(torch.where(unlabelled, said, pool.labels))
        notes.append("Texts without a label have the network's own answer for one.")
    return ExternalSession(specimen, ToolContext(dataset, dataset.pool), tuple(notes))


def _answer(pieces: Tokenizer, word: str) -> int:
    """The one piece of an answer, after a space or as it is."""
    if pieces.stranger(word) is not None or not word.strip():
        raise AuditgameError(f"answers: the tokenizer does not know '{word}'")
    ids = own_vocabulary(pieces, word)
    if len(ids) != 1:
        shown = " ".join(pieces.words[index] for index in ids)
        raise AuditgameError(
            f"answers: '{word}' is {len(ids)} tokens ({shown}); name answers that are one each"
        )
    return ids[0]


def _require_distinct(chosen: Sequence[tuple[str, int]], pieces: Tokenizer) -> None:
    ids = [index for _, index in chosen]
    if len(ids) < 2:
        raise AuditgameError("answers: name at least two, with commas between")
    for name, index in chosen:
        if ids.count(index) > 1:
            raise AuditgameError(
                f"answers: '{name}' is named twice, as '{pieces.words[index]}'; name each once"
            )


def _likeliest(
    network: Reader, pieces: Tokenizer, written: list[TextInput]
) -> list[tuple[str, int]]:
    """The next words that are likeliest where the texts end, on average."""
    dataset = load_texts(pieces, network.context, [one._replace(label="") for one in written], ())
    specimen, inputs = Specimen(network, dataset), dataset.pool.inputs
    *_, site = (name for name in specimen.sites if name.endswith(".residual"))
    total = torch.zeros(network.rows)
    for part in inputs.split(specimen.fitting(inputs, BATCH)):
        stream = specimen.run(part, keep=[site], whole=False).kept[site]
        last = stream[torch.arange(len(part)), dataset.lengths(part) - 1]
        total += specimen.unembed(last).softmax(1).sum(0)
    best = total.topk(min(LIKELIEST, network.rows)).indices.tolist()
    return [(pieces.words[index], index) for index in best]
