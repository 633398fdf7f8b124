"""Background builds: each in a process of its own, which outlives the page that started it.

A build is a folder with recipe.json, progress.jsonl and, at the end, outcome.json. The process
touches `alive` every few seconds and looks for `cancel`; no process id is stored.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple

from auditgame import paths
from auditgame.schema.errors import AuditgameError, Conflict, NotFound
from auditgame.schema.recipe import Recipe
from auditgame.schema.results import Certificate

HEARTBEAT_SECONDS = 2.0
SILENT_SECONDS = 30.0
"""A build that has not touched `alive` for so long counts as dead."""
MAX_RUNNING = 2

State = Literal["running", "done", "failed", "cancelled", "died"]


class Job(NamedTuple):
    """The state of one build: its progress, and its outcome once it has one."""

    id: str
    recipe: Recipe
    state: State
    stage: str
    share: float
    words: str
    challenge: str | None
    certificate: Certificate | None


def folder() -> Path:
    """The folder of all builds."""
    return paths.record() / "builds"


def start(recipe: Recipe) -> Job:
    """Start a build; AuditgameError where too many are running."""
    running = [job for job in jobs() if job.state == "running"]
    if len(running) >= MAX_RUNNING:
        raise Conflict(f"{len(running)} builds are running; wait for one, or cancel it")
    here = folder() / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    here.mkdir(parents=True)
    (here / "recipe.json").write_text(recipe.model_dump_json(), encoding="utf-8")
    (here / "alive").touch()
    with (here / "log.txt").open("wb") as log:
        subprocess.Popen(
            [sys.executable, "-m", "auditgame.challenges.build_jobs", str(here)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return job(here.name)


def jobs() -> list[Job]:
    """Every build, newest first."""
    found = sorted(folder().glob("*/recipe.json"), reverse=True)
    return [job(path.parent.name) for path in found]


def job(id: str) -> Job:
    """The state of the build of this name."""
    here = _folder_of(id)
    recipe = Recipe.model_validate_json((here / "recipe.json").read_text(encoding="utf-8"))
    last = _last_line(here / "progress.jsonl")
    outcome = _read(here / "outcome.json")
    state: State = outcome.get("state") or ("running" if _alive(here) else "died")
    proof = outcome.get("certificate")
    return Job(
        id=id,
        recipe=recipe,
        state=state,
        stage=last.get("stage", "starting"),
        share=last.get("share", 0.0),
        words=outcome.get("words") or last.get("words", ""),
        challenge=outcome.get("challenge"),
        certificate=Certificate.model_validate(proof) if proof else None,
    )


def cancel(id: str) -> None:
    """Ask a build to end; it ends within a few seconds and leaves no partial challenge."""
    (_folder_of(id) / "cancel").touch()


def forget(id: str) -> None:
    """Remove the record of a build that has ended. The challenge it built stays."""
    if job(id).state == "running":
        raise Conflict(f"build '{id}': still running; cancel it first")
    shutil.rmtree(_folder_of(id))


def run(here: Path) -> None:
    """The process of a build, from its recipe to its outcome."""
    threading.Thread(target=_heartbeat, args=(here,), daemon=True).start()
    from auditgame.challenges.build import BuildFailed, build
    from auditgame.seeds import Seed

    recipe = Recipe.model_validate_json((here / "recipe.json").read_text(encoding="utf-8"))

    def report(stage: str, share: float, words: str) -> None:
        line = json.dumps({"stage": stage, "share": share, "words": words})
        with (here / "progress.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    try:
        made = build(recipe, Seed.fresh(), paths.built(), report)
        _finish(here, state="done", challenge=made.name, words="Built and certified.")
    except BuildFailed as error:
        proof = error.certificate.model_dump(mode="json")
        _finish(here, state="failed", words=str(error), certificate=proof)
    except AuditgameError as error:
        _finish(here, state="failed", words=str(error))


def _heartbeat(here: Path) -> None:
    while True:
        if (here / "cancel").exists():
            _finish(here, state="cancelled", words="Cancelled.")
            os._exit(1)
        (here / "alive").touch()
        time.sleep(HEARTBEAT_SECONDS)


def _finish(here: Path, **outcome: Any) -> None:
    draft = here / "outcome.part"
    draft.write_text(json.dumps(outcome), encoding="utf-8")
    draft.replace(here / "outcome.json")


def _folder_of(id: str) -> Path:
    here = folder() / id
    if here.parent != folder() or not (here / "recipe.json").is_file():
        raise NotFound(f"build '{id}': not found; see the list of builds")
    return here


def _alive(here: Path) -> bool:
    return time.time() - (here / "alive").stat().st_mtime < SILENT_SECONDS


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError):
        return json.loads(path.read_text(encoding="utf-8"))
    return {}


def _last_line(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    complete = [line for line in path.read_text(encoding="utf-8").split("\n")[:-1] if line]
    return json.loads(complete[-1]) if complete else {}


if __name__ == "__main__":
    run(Path(sys.argv[1]))
