"""The pieces that texts are cut into: a folder's tokenizer, and how each piece is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from auditgame.datasets.texts.vocabulary import PAD, UNKNOWN, split, word_ids
from auditgame.external.model_folder import TOKENIZER, ModelFolder, read_json
from auditgame.schema.errors import AuditgameError

SPACE = "▁"
"""Shown, and understood, where a piece begins with a space."""


class Tokenizer(Protocol):
    """A vocabulary. words: each piece as it is shown, once; pad: the id that fills up rows."""

    words: tuple[str, ...]
    pad: int

    def read(self, text: str) -> list[int]:
        """Ids of a whole text, with what the tokenizer itself puts round it."""

    def inside(self, text: str) -> list[int]:
        """Ids of a text that stands within another."""

    def write(self, ids: Sequence[int]) -> str:
        """The text of these ids."""

    def stranger(self, text: str) -> str | None:
        """The first word that the vocabulary does not know, if there is one."""


def read_tokenizer(folder: ModelFolder, rows: int) -> Tokenizer:
    """The folder's tokenizer; rows: of the embedding, beyond which no piece may be numbered.

    A tokenizer of whole words such as our bundles have is read here. Any other needs the
    `tokenizers` package, of the `hf` extra.
    """
    path = folder.path / TOKENIZER
    if not path.is_file():
        raise AuditgameError(
            f"{folder.where}: holds no {TOKENIZER}; save its tokenizer beside it, in the fast form"
        )
    data = read_json(path, folder.where)
    pieces = (
        WordTokenizer(data["model"]["vocab"], rows)
        if _is_ours(data)
        else _general(folder, data, rows)
    )
    if len(pieces.words) > rows:
        raise AuditgameError(
            f"{folder.where}: tokenizer does not match: it numbers {len(pieces.words):,} pieces, "
            f"and the model embeds {rows:,}"
        )
    return pieces


def _is_ours(data: dict[str, Any]) -> bool:
    """Whole lower-cased words, padding first and the unknown word second?"""
    model = data.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        return False
    vocabulary = model["vocab"]
    return (
        model.get("type") == "WordLevel"
        and data.get("normalizer") == {"type": "Lowercase"}
        and data.get("pre_tokenizer") == {"type": "BertPreTokenizer"}
        and not data.get("post_processor")
        and (vocabulary.get(PAD), vocabulary.get(UNKNOWN)) == (0, 1)
        and sorted(vocabulary.values()) == list(range(len(vocabulary)))
    )


class WordTokenizer:
    """Whole words, as `texts.wordbook` splits them."""

    pad = 0

    def __init__(self, vocabulary: dict[str, int], rows: int) -> None:
        unused = (f"<unused {index}>" for index in range(len(vocabulary), rows))
        self.words = (*sorted(vocabulary, key=vocabulary.__getitem__), *unused)

    def read(self, text: str) -> list[int]:
        """The id of each word; 1 for unknown ones."""
        known = word_ids(self.words)
        return [known.get(word, 1) for word in split(text)]

    inside = read

    def write(self, ids: Sequence[int]) -> str:
        """The words, with spaces between."""
        return " ".join(self.words[index] for index in ids)

    def stranger(self, text: str) -> str | None:
        """The first word that is not in the vocabulary."""
        known = word_ids(self.words)
        return next((word for word in split(text) if word not in known), None)


class SubwordTokenizer:
    """Pieces of words, as Hugging Face's `tokenizers` cut them."""

    def __init__(self, tokenizer: Any, data: dict[str, Any], rows: int) -> None:
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        self._tokenizer, self._spaced = tokenizer, _is_bytewise(data)
        self._unknown = vocabulary.get(data["model"].get("unk_token"))
        self.words = _named(vocabulary, max(rows, 1 + max(vocabulary.values())), self._spaced)
        self.pad = _padding(data, len(self.words))

    def read(self, text: str) -> list[int]:
        """Ids of a whole text; a tokenizer that opens texts with a piece of its own does so."""
        return self._tokenizer.encode(self._plain(text)).ids

    def inside(self, text: str) -> list[int]:
        """Ids of the text alone."""
        return self._tokenizer.encode(self._plain(text), add_special_tokens=False).ids

    def write(self, ids: Sequence[int]) -> str:
        """The text; what cannot be printed is written as an escape."""
        return printable(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def stranger(self, text: str) -> str | None:
        """The first stretch that was read as the unknown piece."""
        if self._unknown is None:
            return None
        found = self._tokenizer.encode(self._plain(text), add_special_tokens=False)
        for index, (start, end) in zip(found.ids, found.offsets, strict=True):
            if index == self._unknown:
                return self._plain(text)[start:end] or text
        return None

    def _plain(self, text: str) -> str:
        return text.replace(SPACE, " ") if self._spaced else text


def _general(folder: ModelFolder, data: dict[str, Any], rows: int) -> SubwordTokenizer:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise AuditgameError(
            f"{folder.where}: its tokenizer needs the tokenizers package; install it with "
            "pip install 'auditgame[hf]'"
        ) from None
    try:
        tokenizer = Tokenizer.from_file(str(folder.path / TOKENIZER))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return SubwordTokenizer(tokenizer, data, rows)
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise AuditgameError(f"{folder.where}: {TOKENIZER} cannot be read: {reason}") from None


def _padding(data: dict[str, Any], count: int) -> int:
    """The last special piece, which ordinary texts do not end in; without one, the last piece."""
    added = data.get("added_tokens") or []
    return max((int(piece["id"]) for piece in added if piece.get("special")), default=count - 1)


# --------------------------------------------------------------------- how they are shown


def _is_bytewise(data: dict[str, Any]) -> bool:
    """Do pieces stand for bytes, one letter for each (Radford et al. 2019)?"""
    return "'ByteLevel'" in repr((data.get("pre_tokenizer"), data.get("decoder")))


def _named(vocabulary: dict[str, int], rows: int, bytewise: bool) -> tuple[str, ...]:
    """How each piece is shown; rows of the embedding without a piece have names as well."""
    names = [f"<unused {index}>" for index in range(rows)]
    letters = _letters() if bytewise else {}
    for piece, index in vocabulary.items():
        known = letters and all(letter in letters for letter in piece)
        names[index] = _from_bytes(piece, letters) if known else printable(piece)
    times = Counter(names)
    return tuple(
        name if times[name] == 1 and name else f"{name}#{index}" for index, name in enumerate(names)
    )


def _letters() -> dict[str, int]:
    """The byte that each letter of a bytewise piece stands for.

    Bytes that can be printed stand for themselves, the others for letters from 256 on.
    """
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    table = {chr(byte): byte for byte in plain}
    return table | {chr(256 + number): byte for number, byte in enumerate(others)}


def _from_bytes(piece: str, letters: dict[str, int]) -> str:
    content = bytes(letters[letter] for letter in piece)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in content)
    return printable(SPACE + text[1:] if text.startswith(" ") else text)


def printable(text: str) -> str:
    """The same with an escape for every letter that a terminal would act on or not show."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
