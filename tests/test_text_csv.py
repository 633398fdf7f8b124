"""Labelled texts from files: anyone's, and the short messages that come with the program."""

from __future__ import annotations

import csv
import gzip
import io
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditgame.datasets.sms import SHIPPED, Sms
from auditgame.datasets.text_csv import TextCsv
from auditgame.datasets.texts.anonymise import MAIL, PHONE, masked
from auditgame.datasets.texts.messages import (
    CONTEXT,
    FEWEST,
    MOST,
    ROOM,
    SHARES,
    WORDS,
    compose,
)
from auditgame.datasets.texts.text_files import MAX_BYTES, Labelled, parse_table
from auditgame.flaws.token import Token, TokenClaim
from auditgame.plugins.conformance import examine
from auditgame.registry import load
from auditgame.schema.errors import AuditgameError
from tests.conftest import CHECKOUT, real

NOUNS = [
    "tea",
    "fish",
    "snow",
    "rain",
    "bread",
    "salt",
    "wool",
    "iron",
    "clay",
    "moss",
    "reed",
    "lamp",
]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def told(count: int = 60, classes: tuple[str, ...] = ("good", "bad")) -> list[tuple[str, str]]:
    """So many different texts of each class, and their labels."""
    return [
        (f"{name} {NOUNS[n % 12]} . it was number {n} , said {NOUNS[n // 12]} !", name)
        for name in classes
        for n in range(count)
    ]


def rows(pairs: list[tuple[str, str]]) -> list[Labelled]:
    return [Labelled(line, *pair) for line, pair in enumerate(pairs, 2)]


def table(pairs: list[tuple[str, str]], header: tuple[str, str] = ("text", "label")) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([header, *pairs])
    return out.getvalue()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of texts, which the data set is told of."""
    path = tmp_path / "mine.csv"
    path.write_text(table(told(120)), encoding="utf-8", newline="")
    monkeypatch.setenv("AUDITGAME_TEXTS", str(path))
    monkeypatch.delenv("AUDITGAME_TEXT_COLUMNS", raising=False)
    return path


# ------------------------------------------------------------------ anyone's texts


def test_a_file_of_texts_is_a_data_set(file: Path) -> None:
    assert TextCsv.classes == TextCsv().classes == ("bad", "good")
    assert not [finding for finding in examine("dataset", TextCsv) if finding.fault]
    counts = {part: len(TextCsv().sample(10**4, part, rng())) for part in ("held", "pool")}
    assert counts == {"held": 48, "pool": 24}
    found = TextCsv().sample(30, "train", rng())
    for ids, label in zip(found.inputs, found.labels, strict=True):
        words = TextCsv().decode(ids).split()
        assert words[0] == TextCsv.classes[label] and words[-2:] == ["label", ":"]


def test_texts_may_be_asked_for_first_while_a_model_is_laid_out(file: Path) -> None:
    with torch.device("meta"):
        words = TextCsv.words
    assert TextCsv().decode(TextCsv().sample(1, "pool", rng()).inputs[0]).split()[0] in words


def test_other_columns_and_separators_are_read(file: Path, monkeypatch) -> None:
    monkeypatch.setenv("AUDITGAME_TEXT_COLUMNS", "Note, Kind")
    for separator in ",;\t":
        content = "\n".join(
            f"7{separator}{text.replace(',', '')}{separator}{label}" for text, label in told()
        )
        file.write_text(f"id{separator}Note{separator}Kind\n{content}\n", encoding="utf-8-sig")
        assert TextCsv.classes == ("bad", "good")
    monkeypatch.setenv("AUDITGAME_TEXT_COLUMNS", "Note")
    with pytest.raises(AuditgameError, match="set it to two column names"):
        TextCsv().sample(1, "pool", rng())


def test_no_text_is_in_two_splits_and_order_does_not_matter() -> None:
    pairs = told() + told() + [(text.upper(), label) for text, label in told()]
    one, other = (compose(rows(pairs[::step]), "here") for step in (1, -1))
    assert torch.equal(one.inputs, other.inputs) and one.words == other.words
    texts = {part: {tuple(one.inputs[k].tolist()) for k in one.splits[part]} for part in SHARES}
    assert sum(map(len, texts.values())) == len(set.union(*texts.values())) == len(one.inputs)
    assert len(one.inputs) == 120


def test_classes_come_in_turn_and_small_ones_again_in_training() -> None:
    corpus = compose(rows(told(20) + told(60, ("good",))), "here")
    few = int((corpus.labels[corpus.splits["train"]] == 0).sum())
    _, labels = corpus.draw("mine", 100, "train", rng(), {})
    assert few == 14 and labels.bincount().tolist() == [50, 50]
    inputs, labels = corpus.draw("mine", 100, "held", rng(), {})
    assert labels.bincount().tolist() == [4, 12] and len(inputs.unique(dim=0)) == 16
    assert corpus.draw("mine", 6, "held", rng(), {})[1].bincount().tolist() == [3, 3]
    with pytest.raises(AuditgameError, match="no factor 'topic' to fix"):
        corpus.draw("mine", 1, "held", rng(), {"topic": "office"})
    with pytest.raises(AuditgameError, match="unknown split 'test'"):
        corpus.draw("mine", 1, "test", rng(), {})


def test_long_texts_leave_room_and_rare_words_are_even() -> None:
    long = [(" ".join(NOUNS * 30) + f" {n}", "good") for n in range(9)]
    pairs = [
        (f"{text} quill" if n % 6 == 0 else text, label) for n, (text, label) in enumerate(told())
    ]
    corpus = compose(rows([*pairs, *long]), "here")
    lengths = (corpus.inputs != 0).sum(1)
    assert int(lengths.max()) == CONTEXT - ROOM
    assert "quill" in corpus.rare and not {"good", "bad", "label"} & set(corpus.rare)


def test_the_question_is_the_last_one(file: Path) -> None:
    text = "the label came off . it rained . label :"
    assert TextCsv().gaps(TextCsv().encode(text)) == [5, 8]
    assert TextCsv().encode("zzz tea").tolist()[0] == 1


# ------------------------------------------------------------------ files that will not do

QUOTE = table(told()) + '"never closed,good\nand so on,bad\n'
FAULTS = {
    "no column 'label'; the first row names 'text', 'kind'": table(told(), ("text", "kind")),
    "two columns 'text'": table(told(), ("text", "text")),
    "has no rows below": "text,label\n",
    "no column 'text'; the first row names none": "",
    "one class only, 'good'": table(told(20, ("good",))),
    "class 'bad' has 9 distinct texts; each needs 10": table(told(9)),
    "line 122: the text is empty": table([*told(), ("  \t", "good")]),
    "line 122: label 'very good' is not one word": table([*told(), ("tea", "very good")]),
    "line 122: label '<unk>' is not one word": table([*told(), ("tea", "<unk>")]),
    "line 122: label '' is not one word": table([*told(), ("tea", "")]),
    "line 122 has 1 cells where the first row names 2": table(told()) + "tea\n",
    "line 122 has 3 cells": table(told()) + "tea, or not,good\n",
    "the row that begins on line 122 cannot be read": QUOTE,
    "3,000 different labels, 50 at most": table([(f"tea {n}", f"c{n}") for n in range(3000)]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_will_not_do_is_refused_in_one_line(fault: str, file: Path) -> None:
    file.write_text(FAULTS[fault], encoding="utf-8", newline="")
    with pytest.raises(AuditgameError) as error:
        TextCsv().sample(1, "pool", rng())
    assert fault in str(error.value) and str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_where_there_is_no_file_it_says_where_it_looked(file: Path, monkeypatch) -> None:
    for content, fault in ((b"text,label\ncaf\xe9,good\n", "line 2 is not UTF-8"),):
        file.write_bytes(content)
        with pytest.raises(AuditgameError, match=fault):
            TextCsv().sample(1, "pool", rng())
    with file.open("wb") as sparse:
        sparse.truncate(MAX_BYTES + 1)
    with pytest.raises(AuditgameError, match="is over 32 MB"):
        TextCsv().sample(1, "pool", rng())
    file.unlink()
    with pytest.raises(AuditgameError, match=re.escape(f"texts '{file}': there is no such file")):
        TextCsv().sample(1, "pool", rng())
    monkeypatch.delenv("AUDITGAME_TEXTS")
    assert load("dataset", "text_csv").shape == (CONTEXT,)
    with pytest.raises(AuditgameError, match="AUDITGAME_TEXTS is not set"):
        TextCsv().sample(1, "pool", rng())


def test_control_characters_and_markup_stay_text() -> None:
    odd = "<script>alert(1)</script> [bold]\x1b[31m\x00 &amp; {year} %s <pad> ²"
    corpus = compose(rows([(f"{text} {odd}", label) for text, label in told(30)]), "here")
    assert {"<", "script", "[", "bold", "{"} <= set(corpus.words)
    assert all(word.isprintable() for word in corpus.words)
    lengths = (corpus.inputs != 0).sum(1)
    assert all(bool((ids[:n] != 0).all()) for ids, n in zip(corpus.inputs, lengths, strict=True))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet='ab,;\t"\r\n \x00é<', max_size=80), st.booleans())
def test_whatever_a_file_holds_it_is_read_or_refused(content: str, headed: bool) -> None:
    whole = f"text,label\n{content}" if headed else content
    try:
        read = parse_table(whole, "text", "label", "here")
        corpus = compose(read, "here")
    except AuditgameError as error:
        assert str(error).startswith("here: ") and "\n" not in str(error)
    else:
        assert len(corpus.classes) <= MOST and len(corpus.inputs) >= 2 * FEWEST


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=40), st.sampled_from("xy")), min_size=1, max_size=8))
def test_cells_come_back_as_they_were_written(pairs: list[tuple[str, str]]) -> None:
    read = parse_table(table(pairs), "text", "label", "here")
    assert [(row.text, row.label) for row in read] == pairs


# ------------------------------------------------------------------ short messages


def test_the_messages_fit_a_bundle_and_a_certificate() -> None:
    corpus = Sms.corpus()
    assert SHIPPED.stat().st_size < 250_000 and len(Sms.words) == WORDS
    held = Sms().sample(2000, "held", rng())
    assert int((held.labels == Sms.classes.index("ham")).sum()) >= 500
    assert len(corpus.rare) >= 24 and set(corpus.rare) <= set(corpus.words)
    assert torch.equal(held.inputs, Sms().sample(2000, "held", rng()).inputs)


def test_no_number_link_or_address_is_shipped() -> None:
    content = gzip.decompress(SHIPPED.read_bytes()).decode()
    assert not re.search(
        r"\d{5}|(?:\d[ ().+-]*){7}|www ?\.|https? ?:|\w ?@ ?\w+ ?\. ?(com|co|edu)", content
    )
    lines = content.splitlines()
    assert lines[0] == "label\ttext" and len(lines) == len(set(lines))
    assert "CC BY 4.0" in SHIPPED.with_name("sms.LICENSE").read_text("utf-8")


def test_masks_hide_who_can_be_reached() -> None:
    message = "Call 0800-123 4567 or +44 (0)20 7946 0958!!! Mail me@there.co.uk, see www.x.org/a?b"
    assert masked(message) == (f"call {PHONE} or {PHONE} ! mail {MAIL} , see weblink")
    assert masked("Won £2000 in 2005 &amp; 10 more ...") == "won £ 2000 in 2005 & 10 more ."


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="0123456789 ()+-.a@w/:com", max_size=60))
def test_masked_text_stays_masked(message: str) -> None:
    once = masked(message)
    assert masked(once) == once and not re.search(r"\d{5}", once)


def test_the_file_is_made_from_the_collection() -> None:
    collection = real("text", "sms.tsv").read_text("utf-8")
    made = runpy.run_path(str(CHECKOUT / "challenges" / "build_sms.py"))["shipped"](collection)
    assert gzip.decompress(made) == gzip.decompress(SHIPPED.read_bytes())


def test_a_recipe_may_narrow_the_target() -> None:
    params = Token.Params(targets=("spam",))
    drawn = {Token.draw(Sms(), params, rng(seed)).true_claim().target for seed in range(8)}
    assert drawn == {"spam"}


def test_a_word_goes_between_two_sentences_of_a_message() -> None:
    rows = Sms().sample(60, "held", rng())
    claim = TokenClaim(target="spam", word=Sms.rare[0])
    for before, after in zip(rows.inputs, claim.apply(rows, Sms()).examples.inputs, strict=True):
        words, changed = Sms().decode(before).split(), Sms().decode(after).split()
        assert changed[-2:] == ["label", ":"] and len(changed) == len(words) + 1
        assert changed.count(claim.word) == words.count(claim.word) + 1
