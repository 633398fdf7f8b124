"""Tokenizers of external language models, and how each token is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from auditgame.datasets.texts.vocabulary import PAD, UNKNOWN, split, word_ids
from auditgame.external.model_folder import TOKENIZER, ModelFolder, read_json
from auditgame.schema.errors import Invalid, NotFound, Unavailable

SPACE = "▁"
"""Stands for the space at the beginning of a token, when shown and when typed."""


class Tokenizer(Protocol):
    """A vocabulary and its rules. words: each token as it is shown; pad: the id of padding."""

    words: tuple[str, ...]
    pad: int

    def encode(self, text: str) -> list[int]:
        """Ids of a whole text, with the special tokens that the tokenizer adds."""

    def encode_within(self, text: str) -> list[int]:
        """Ids of a part of a text, without special tokens."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these ids."""

    def unknown_word(self, text: str) -> str | None:
        """The first word that is not in the vocabulary, if there is one."""


def read_tokenizer(folder: ModelFolder, rows: int) -> Tokenizer:
    """The folder's tokenizer; rows: of the embedding, the most tokens it may have.

    A tokenizer of whole words such as our bundles have is read here. Any other needs the
    `tokenizers` package, of the `hf` extra.
    """
    path = folder.path / TOKENIZER
    if not path.is_file():
        raise NotFound(
            f"{folder.where}: has no {TOKENIZER}; save its tokenizer there, as a fast tokenizer"
        )
    data = read_json(path, folder.where)
    tokenizer = (
        WordTokenizer(data["model"]["vocab"], rows)
        if _is_ours(data)
        else _general(folder, data, rows)
    )
    if len(tokenizer.words) > rows:
        raise Invalid(
            f"{folder.where}: tokenizer does not match: it has {len(tokenizer.words):,} tokens, "
            f"and the model embeds {rows:,}"
        )
    return tokenizer


def _is_ours(data: dict[str, Any]) -> bool:
    """Does it split into lower-case words, with padding as token 0 and unknown as token 1?"""
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
    """Whole words, as `texts.vocabulary` splits them."""

    pad = 0

    def __init__(self, vocabulary: dict[str, int], rows: int) -> None:
        unused = (f"<unused {index}>" for index in range(len(vocabulary), rows))
        self.words = (*sorted(vocabulary, key=vocabulary.__getitem__), *unused)

    def encode(self, text: str) -> list[int]:
        """The id of each word; 1 for unknown ones."""
        known = word_ids(self.words)
        return [known.get(word, 1) for word in split(text)]

    encode_within = encode

    def decode(self, ids: Sequence[int]) -> str:
        """The words, with spaces between."""
        return " ".join(self.words[index] for index in ids)

    def unknown_word(self, text: str) -> str | None:
        """The first word that is not in the vocabulary."""
        known = word_ids(self.words)
        return next((word for word in split(text) if word not in known), None)


class SubwordTokenizer:
    """Parts of words, as Hugging Face's `tokenizers` split them."""

    def __init__(self, tokenizer: Any, data: dict[str, Any], rows: int) -> None:
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        self._tokenizer, self._spaced = tokenizer, _is_bytewise(data)
        self._unknown = vocabulary.get(data["model"].get("unk_token"))
        self.words = _named(vocabulary, max(rows, 1 + max(vocabulary.values())), self._spaced)
        self.pad = _padding(data, len(self.words))

    def encode(self, text: str) -> list[int]:
        """Ids of a whole text, with the special tokens that the tokenizer adds."""
        return self._tokenizer.encode(self._plain(text)).ids

    def encode_within(self, text: str) -> list[int]:
        """Ids of the text alone."""
        return self._tokenizer.encode(self._plain(text), add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text; characters that cannot be printed become escapes."""
        return printable(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def unknown_word(self, text: str) -> str | None:
        """The first part of the text that becomes the unknown token."""
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
        raise Unavailable(
            f"{folder.where}: its tokenizer needs the tokenizers package; install it with "
            "pip install 'auditgame[hf]'"
        ) from None
    try:
        tokenizer = Tokenizer.from_file(str(folder.path / TOKENIZER))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return SubwordTokenizer(tokenizer, data, rows)
    except Exception as error:
        raise Invalid(
            f"{folder.where}: {TOKENIZER} cannot be read ({type(error).__name__}); save it again "
            "as a fast tokenizer"
        ) from None


def _padding(data: dict[str, Any], count: int) -> int:
    """The last special token, which ordinary texts do not end in; without one, the last token."""
    added = data.get("added_tokens") or []
    return max((int(token["id"]) for token in added if token.get("special")), default=count - 1)


# --------------------------------------------------------------------- how tokens are shown


def _is_bytewise(data: dict[str, Any]) -> bool:
    """Do tokens stand for bytes, with one letter for each (Radford et al. 2019)?"""
    return "'ByteLevel'" in repr((data.get("pre_tokenizer"), data.get("decoder")))


def _named(vocabulary: dict[str, int], rows: int, bytewise: bool) -> tuple[str, ...]:
    """Each token as it is shown; rows of the embedding without a token get names as well."""
    names = [f"<unused {index}>" for index in range(rows)]
    letters = _letters() if bytewise else {}
    for token, index in vocabulary.items():
        known = letters and all(letter in letters for letter in token)
        names[index] = _from_bytes(token, letters) if known else printable(token)
    counts = Counter(names)
    return tuple(
        name if counts[name] == 1 and name else f"{name}#{index}"
        for index, name in enumerate(names)
    )


def _letters() -> dict[str, int]:
    """The byte that each letter of a bytewise token stands for.

    Bytes that can be printed stand for themselves, the others for letters from 256 on.
    """
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    table = {chr(byte): byte for byte in plain}
    return table | {chr(256 + number): byte for number, byte in enumerate(others)}


def _from_bytes(token: str, letters: dict[str, int]) -> str:
    content = bytes(letters[letter] for letter in token)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in content)
    return printable(SPACE + text[1:] if text.startswith(" ") else text)


def printable(text: str) -> str:
    """The text with an escape for every character that a terminal would act on or not show."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
