"""Where do things lie? The checkout's folders, the record, the host's own secrets and cache."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The checkout, or the folder that AUDITGAME_HOME names."""
    return Path(os.environ.get("AUDITGAME_HOME") or Path(__file__).resolve().parent.parent)


def recipes() -> Path:
    """Public recipes."""
    return home() / "challenges" / "recipes"


def practice() -> Path:
    """The practice pack."""
    return home() / "challenges" / "practice"


def references() -> Path:
    """Clean siblings, by data set and model."""
    return home() / "challenges" / "references"


def built() -> Path:
    """Challenges built on this machine, by the Studio or the command line."""
    return home() / "challenges" / "built"


def record() -> Path:
    """The leaderboard's folder, where the default database lives."""
    return home() / "leaderboard"


def host_key() -> Path:
    """The host's private sealing key; made at first need, readable by its owner only."""
    return record() / "host.key"


def cache() -> Path:
    """Clean bases under their secret names, so that an interrupted build goes on."""
    folder = os.environ.get("AUDITGAME_CACHE")
    return Path(folder) if folder else Path.home() / ".cache" / "auditgame"


def data() -> Path:
    """Data sets that were fetched, each as torchvision lays it out."""
    folder = os.environ.get("AUDITGAME_DATA")
    return Path(folder) if folder else cache() / "data"


def images() -> Path | None:
    """The pictures of the data set `image_folder`, where somebody named any."""
    folder = os.environ.get("AUDITGAME_IMAGES")
    return Path(folder) if folder else None


def texts() -> Path | None:
    """The CSV or TSV file of the data set `text_csv`, where somebody named one."""
    file = os.environ.get("AUDITGAME_TEXTS")
    return Path(file) if file else None


def text_columns() -> str:
    """The names of that file's two columns, with a comma between: texts, labels."""
    return os.environ.get("AUDITGAME_TEXT_COLUMNS") or "text,label"


def microscopes() -> Path:
    """Pictures of units, under the digest of the model they were painted for."""
    return cache() / "microscope"
