"""The first shape: players, their work on a challenge, submissions, scores and the log."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{'_'.join(columns)}")


def _belongs(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=f"fk_{table}_{column}")


def _check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=f"ck_{table}_{name}")


def _table(name: str, *parts: Any, **options: Any) -> None:
    op.create_table(name, *parts, **options)


def upgrade() -> None:
    """Make every table."""
    _people()
    _casework()
    _hand_ins()


def _people() -> None:
    _table(
        "players",
        _whole("id"),
        _text("name"),
        _text("name_key"),
        _text("bracket"),
        _text("created_at"),
        sa.Column("token_digest", sa.Text),
        _primary("players", "id"),
        _unique("players", "name_key"),
        _unique("players", "token_digest"),
        _check("players", "bracket", "bracket IN ('human', 'human+ai', 'agent', 'algorithm')"),
    )


def _casework() -> None:
    _table(
        "journal",
        _whole("id"),
        _whole("player_id"),
        *map(_text, ("challenge", "tool", "options", "options_digest", "exhibits_digest")),
        _whole("cost"),
        _text("at"),
        _primary("journal", "id"),
        _belongs("journal", "player_id", "players"),
        _check("journal", "cost", "cost >= 0"),
    )
    asked = ("player_id", "challenge", "exhibits_digest")
    op.create_index(f"ix_journal_{'_'.join(asked)}", "journal", list(asked))
    _table("results", *map(_text, ("digest", "exhibits", "at")), _primary("results", "digest"))
    _table(
        "pins",
        _whole("id"),
        _whole("player_id"),
        *map(_text, ("challenge", "ref", "title", "at")),
        _primary("pins", "id"),
        _belongs("pins", "player_id", "players"),
        _unique("pins", "player_id", "challenge", "ref"),
    )
    _table(
        "drafts",
        _whole("player_id"),
        *map(_text, ("challenge", "data", "updated_at")),
        _primary("drafts", "player_id", "challenge"),
        _belongs("drafts", "player_id", "players"),
    )
    _table(
        "quota",
        _whole("player_id"),
        _text("challenge"),
        _whole("used"),
        _whole("allowed"),
        _primary("quota", "player_id", "challenge"),
        _belongs("quota", "player_id", "players"),
        _check("quota", "used", "used >= 0"),
    )


def _hand_ins() -> None:
    _table(
        "submissions",
        sa.Column("id", sa.Integer, primary_key=True),
        _whole("player_id"),
        _text("challenge"),
        _whole("attempt"),
        _text("digest"),
        _text("diagnosis"),
        _whole("probes"),
        _whole("evidence"),
        sa.Column("started_at", sa.Text),
        _text("at"),
        _belongs("submissions", "player_id", "players"),
        _unique("submissions", "player_id", "challenge", "digest"),
        _unique("submissions", "player_id", "challenge", "attempt"),
        sqlite_autoincrement=True,
    )
    _table(
        "scores",
        sa.Column("id", sa.Integer, primary_key=True),
        _whole("submission_id"),
        _text("scorer"),
        sa.Column("points", sa.Float(53), nullable=False),
        sa.Column("possible", sa.Float(53), nullable=False),
        _text("components"),
        _text("at"),
        _belongs("scores", "submission_id", "submissions"),
        _unique("scores", "submission_id", "scorer"),
        _check("scores", "points", "points > -1e9 AND points < 1e9"),
        _check("scores", "possible", "possible > 0 AND possible < 1e9"),
        sqlite_autoincrement=True,
    )
    _table(
        "log",
        sa.Column("id", sa.Integer, primary_key=True),
        _text("kind"),
        _whole("ref"),
        _text("payload"),
        _text("previous"),
        _text("hash"),
        _unique("log", "previous"),
        _unique("log", "hash"),
        sqlite_autoincrement=True,
    )
