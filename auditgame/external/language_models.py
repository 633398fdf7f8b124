"""Loading an external language model with its texts, as a session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from auditgame.external.decoder import LAYOUTS, open_decoder
from auditgame.external.external_gpt2 import KIND, open_gpt2
from auditgame.external.external_model import ExternalLanguageModel
from auditgame.external.external_session import ExternalSession
from auditgame.external.model_folder import ModelFolder, open_folder
from auditgame.external.text_inputs import TextInput, load_texts, read_texts, word_tokens
from auditgame.external.tokenizers import Tokenizer, read_tokenizer
from auditgame.schema.errors import Invalid
from auditgame.specimen import BATCH, Specimen
from auditgame.tools import ToolContext

LIKELIEST = 10
"""Number of answers that are compared by default."""


def load_language_model(
    model: str,
    texts: Path | None = None,
    prompts: Sequence[str] = (),
    answers: Sequence[str] = (),
    most: int = 400,
) -> ExternalSession:
    """A session on a language model that was built and trained elsewhere.

    model: `hf:FOLDER`. texts: a file, see `text_inputs.read_texts`. prompts: further texts.
    answers: the next words to compare at the end of a text, one token each; by default the
    labels of the file, or else the likeliest next words. most: the most texts taken.
    Raises AuditgameError, naming what does not fit.
    """
    folder = open_folder(model)
    network = _network(folder)
    tokenizer = read_tokenizer(folder, network.embedding_rows)
    return _session(network, tokenizer, _spread(_inputs(texts, prompts), most), answers)


def _network(folder: ModelFolder) -> ExternalLanguageModel:
    if folder.kind == KIND:
        return open_gpt2(folder)
    if folder.kind in LAYOUTS:
        return open_decoder(folder)
    known = ", ".join(sorted([KIND, *LAYOUTS]))
    raise Invalid(
        f"{folder.where}: architecture '{folder.kind}' is not supported; supported are {known}"
    )


def _inputs(texts: Path | None, prompts: Sequence[str]) -> list[TextInput]:
    found = read_texts(texts) if texts else []
    found += [TextInput(text, "", f"prompt {number}") for number, text in enumerate(prompts, 1)]
    if not found:
        raise Invalid("texts: a language model needs some; name a file, or give a prompt")
    return found


def _spread(texts: list[TextInput], most: int) -> list[TextInput]:
    """At most so many of the texts, spread evenly over all of them."""
    n = len(texts)
    rows = np.unique(np.linspace(0, n - 1, min(most, n)).round().astype(int))
    return [texts[row] for row in rows]


def _session(
    network: ExternalLanguageModel,
    tokenizer: Tokenizer,
    texts: list[TextInput],
    answers: Sequence[str],
) -> ExternalSession:
    named, notes = answers or sorted({text.label for text in texts if text.label}), []
    if named:
        chosen = [(word, _answer_id(tokenizer, word)) for word in named]
        _require_distinct(chosen, tokenizer)
    else:
        chosen = _likeliest(network, tokenizer, texts)
        listed = ", ".join(name for name, _ in chosen)
        notes.append(f"Answers compared: the likeliest next words of these texts, {listed}.")
    dataset = load_texts(tokenizer, network.context_length, texts, chosen)
    specimen, pool = Specimen(network, dataset), dataset.pool
    unlabelled = pool.labels < 0
    if unlabelled.any():
        predicted = specimen.predict(pool.inputs)
        type(dataset).pool = pool.relabel(torch.where(unlabelled, predicted, pool.labels))
        notes.append("Texts without a label are labelled with the network's own answer.")
    return ExternalSession(specimen, ToolContext(dataset, dataset.pool), tuple(notes))


def _answer_id(tokenizer: Tokenizer, word: str) -> int:
    """The one token of an answer, after a space or as it is."""
    if tokenizer.unknown_word(word) is not None or not word.strip():
        raise Invalid(f"answers: '{word}' is not in the tokenizer's vocabulary")
    ids = word_tokens(tokenizer, word)
    if len(ids) != 1:
        shown = " ".join(tokenizer.words[index] for index in ids)
        raise Invalid(
            f"answers: '{word}' is {len(ids)} tokens ({shown}); name answers of one token each"
        )
    return ids[0]


def _require_distinct(chosen: Sequence[tuple[str, int]], tokenizer: Tokenizer) -> None:
    ids = [index for _, index in chosen]
    if len(ids) < 2:
        raise Invalid("answers: name at least two, separated by commas")
    for name, index in chosen:
        if ids.count(index) > 1:
            raise Invalid(
                f"answers: '{name}' is named twice, as '{tokenizer.words[index]}'; name each once"
            )


def _likeliest(
    network: ExternalLanguageModel, tokenizer: Tokenizer, texts: list[TextInput]
) -> list[tuple[str, int]]:
    """The next words that are likeliest at the end of the texts, on average."""
    unlabelled = [text._replace(label="") for text in texts]
    dataset = load_texts(tokenizer, network.context_length, unlabelled, ())
    specimen, inputs = Specimen(network, dataset), dataset.pool.inputs
    *_, site = (name for name in specimen.sites if name.endswith(".residual"))
    total = torch.zeros(network.embedding_rows)
    for part in inputs.split(specimen.fitting(inputs, BATCH)):
        residual = specimen.run(part, keep=[site], whole=False).kept[site]
        last = residual[torch.arange(len(part)), dataset.lengths(part) - 1]
        total += specimen.unembed(last).softmax(1).sum(0)
    best = total.topk(min(LIKELIEST, network.embedding_rows)).indices.tolist()
    return [(tokenizer.words[index], index) for index in best]
