"""Where content, user data and caches lie. No other module knows.

Content comes with the game and is only read; user data is what is made with it. Both are laid out
like the repository. Run from a checkout they are one folder, the checkout itself.
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """The root of the repository that the package is run from; None where it is installed."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "challenges").is_dir() else None


def shipped() -> Path:
    """What comes with this version of the package: in the checkout, or inside the package."""
    return checkout() or PACKAGE / "_content"


def content() -> Path:
    """Recipes, reference models, practice pack: only read; AUDITGAME_CONTENT names others."""
    return _named("AUDITGAME_CONTENT") or shipped()


def user_data() -> Path:
    """What is made here, above all challenges and the database; AUDITGAME_HOME names the folder."""
    return _named("AUDITGAME_HOME") or checkout() or user_data_path("auditgame", appauthor=False)


def front_script() -> Path:
    """The script that `streamlit run` is given."""
    return shipped() / "streamlit_app.py"


def practice() -> Path:
    """The practice pack."""
    return content() / "challenges" / "practice"


def baselines() -> Path:
    """What the bundled auditors handed in on the practice pack, one JSON entry a line."""
    return content() / "leaderboard" / "baselines.jsonl"


def recipes() -> list[Path]:
    """Folders of recipes: those that come with the game, then the user's own."""
    return _both("challenges", "recipes")


def references() -> list[Path]:
    """Folders of reference models, by data set and model: shipped ones, then the user's own."""
    return _both("challenges", "references")


def plugins() -> Path:
    """The user's own plug-ins: a folder for each kind, named as in the package."""
    return user_data() / "plugins"


def built() -> Path:
    """Challenges built on this machine, in the browser or on the command line."""
    return user_data() / "challenges" / "built"


def record() -> Path:
    """The folder of the default database, of builds in progress and of the host's secrets."""
    return user_data() / "leaderboard"


def cache() -> Path:
    """What can be made anew: bases of interrupted builds, pictures of units, fetched data sets."""
    return _named("AUDITGAME_CACHE") or user_cache_path("auditgame", appauthor=False)


def data() -> Path:
    """Data sets that were fetched, each as torchvision lays it out."""
    return _named("AUDITGAME_DATA") or cache() / "data"


def images() -> Path | None:
    """The pictures of the data set `image_folder`, where somebody named any."""
    return _named("AUDITGAME_IMAGES")


def texts() -> Path | None:
    """The CSV or TSV file of the data set `text_csv`, where somebody named one."""
    return _named("AUDITGAME_TEXTS")


def text_columns() -> str:
    """The names of that file's two columns, with a comma between: texts, labels."""
    return os.environ.get("AUDITGAME_TEXT_COLUMNS") or "text,label"


def microscopes() -> Path:
    """Pictures of units, under the digest of the model they were painted for."""
    return cache() / "microscope"


def _named(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def _both(*parts: str) -> list[Path]:
    return list(dict.fromkeys(root.joinpath(*parts) for root in (content(), user_data())))
