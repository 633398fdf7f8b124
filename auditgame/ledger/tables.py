"""The tables of the ledger, as the newest migration leaves them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

STORED_QUERIES = "probes"
"""The column of a submission's queries. The hashes of the log cover this name, so it stays."""

metadata = MetaData(
    naming_convention={
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **options)


def _whole(name: str, **options: Any) -> Column[int]:
    return Column(name, Integer, nullable=False, **options)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


def _player(**options: Any) -> Column[int]:
    return Column("player_id", ForeignKey("players.id"), nullable=False, **options)


players = Table(
    "players",
    metadata,
    _id(),
    _text("name"),
    _text("name_key", unique=True),
    _text("bracket"),
    _text("created_at"),
    Column("token_digest", Text, unique=True),
    CheckConstraint("bracket IN ('human', 'human+ai', 'agent', 'algorithm')", name="bracket"),
)
journal = Table(
    "journal",
    metadata,
    _id(),
    _player(),
    _text("challenge"),
    _text("tool"),
    _text("options"),
    _text("options_digest"),
    _text("exhibits_digest"),
    _whole("cost"),
    _text("at"),
    CheckConstraint("cost >= 0", name="cost"),
    Index(None, "player_id", "challenge", "exhibits_digest"),
)
results = Table(
    "results", metadata, _text("digest", primary_key=True), _text("exhibits"), _text("at")
)
pins = Table(
    "pins",
    metadata,
    _id(),
    _player(),
    _text("challenge"),
    _text("ref"),
    _text("title"),
    _text("at"),
    UniqueConstraint("player_id", "challenge", "ref"),
)
drafts = Table(
    "drafts",
    metadata,
    _player(primary_key=True),
    _text("challenge", primary_key=True),
    _text("data"),
    _text("updated_at"),
)
quota = Table(
    "quota",
    metadata,
    _player(primary_key=True),
    _text("challenge", primary_key=True),
    _whole("used"),
    _whole("allowed"),
    CheckConstraint("used >= 0", name="used"),
)
submissions = Table(
    "submissions",
    metadata,
    _id(),
    _player(),
    _text("challenge"),
    _whole("attempt"),
    _text("digest"),
    _text("diagnosis"),
    _whole(STORED_QUERIES),
    _whole("evidence"),
    Column("started_at", Text),
    _text("at"),
    UniqueConstraint("player_id", "challenge", "digest"),
    UniqueConstraint("player_id", "challenge", "attempt"),
    sqlite_autoincrement=True,
)
scores = Table(
    "scores",
    metadata,
    _id(),
    Column("submission_id", ForeignKey("submissions.id"), nullable=False),
    _text("scorer"),
    Column("points", Float(53), nullable=False),
    Column("possible", Float(53), nullable=False),
    _text("components"),
    _text("at"),
    UniqueConstraint("submission_id", "scorer"),
    CheckConstraint("points > -1e9 AND points < 1e9", name="points"),
    CheckConstraint("possible > 0 AND possible < 1e9", name="possible"),
    sqlite_autoincrement=True,
)
log = Table(
    "log",
    metadata,
    _id(),
    _text("kind"),
    _whole("ref"),
    _text("payload"),
    _text("previous", unique=True),
    _text("hash", unique=True),
    sqlite_autoincrement=True,
)
