"""Building a pack: every case of its draw, in random order, resumed where it was left off.

The draw is a secret of the host and lies beside its key, never in the pack: one file for each
plan and folder, with the pack's seed and the numbers of the sub-seeds that were tried.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from auditgame import bundles, host
from auditgame.bundles.case_names import case_id, case_title
from auditgame.challenges.build import BuildFailed, build
from auditgame.challenges.pack import draw_pack
from auditgame.challenges.pack_files import ReadyPlan
from auditgame.challenges.sealing import publish_key
from auditgame.schema.errors import Conflict, Invalid, Unavailable
from auditgame.schema.recipe import Recipe
from auditgame.schema.records import Record, digest
from auditgame.seeds import Seed

Tell = Callable[[str], None]

MOST_FAILURES = 20
"""So many sub-seeds of one case may fail their certificate before the pack is given up."""


class PackDraw(Record):
    """The secret of a pack, as the host keeps it.

    plan: the digest of the plan with its recipes. used: by case, the number of its sub-seed.
    failed: by case, the numbers of those that were not certified.
    """

    plan: str
    seed: str
    used: dict[int, int] = {}
    failed: dict[int, tuple[int, ...]] = {}


class Task(NamedTuple):
    """One case to be built. number: its place in the draw; None where its seed is public."""

    number: int | None
    recipe: Recipe
    seed: Seed


def build_pack(
    ready: ReadyPlan,
    out: Path,
    jobs: int = 1,
    tell: Tell = print,
    *,
    published: bool = False,
    microscope: bool = True,
) -> list[str]:
    """Build what is missing of a pack in the folder `out`; the ids of all its cases.

    A draw whose certificate fails is passed over for the next one that draws the same family.
    What is told names no family and no recipe. published: with a private key that is public.
    """
    pack = _Pack(ready, out)
    pack.choose()
    if published:
        publish_key(out)
    todo = pack.missing()
    total = len(pack.tasks())
    tell(f"{total - len(todo)} of {total} cases are there")
    for made in _run(todo, out, jobs, microscope, pack.next_draw):
        if made is None:
            tell("a draw was not certified; the next one is taken")
        else:
            done = total - len(pack.missing())
            tell(f"{done} of {total} cases are there: {made}")
    return sorted(case_id(task.recipe, task.seed) for task in pack.tasks())


def draw_file(plan: str, out: Path) -> str:
    """The name of the secret that holds the draw of this plan in this folder."""
    return f"pack-{plan}-{hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:8]}.json"


class _Pack:
    """A plan, its folder, and its draw as it is kept."""

    def __init__(self, ready: ReadyPlan, out: Path) -> None:
        self.ready, self.out = ready, out
        self.file = draw_file(ready.plan.name, out)
        content = [ready.plan, *(r for g in ready.groups for r in g.recipes), *ready.fixed]
        plan = digest([record.model_dump(mode="json") for record in content])
        fresh = PackDraw(plan=plan, seed=Seed.fresh().hex())
        path, kept = host.secret(self.file, lambda: fresh.model_dump_json().encode())
        try:
            self.draw = PackDraw.model_validate_json(kept)
        except ValidationError:
            raise Unavailable(f"host secret '{path}': is damaged; {host.RESTORE}") from None
        if self.draw.plan != plan:
            raise Conflict(
                f"plan '{ready.plan.name}': it or one of its recipes was changed since the pack in "
                f"'{out}' was drawn; undo that, or give the plan another name or folder"
            )
        self.seed = Seed.from_hex(self.draw.seed)
        self.cases = draw_pack(ready.plan, ready.groups, self.seed)

    def tasks(self) -> list[Task]:
        """Every case as it is drawn so far, the tutorials first."""
        fixed = zip(self.ready.fixed, self.ready.plan.fixed, strict=True)
        return [Task(None, recipe, Seed.of(case.seed)) for recipe, case in fixed] + [
            Task(n, self.cases[n].recipe, self._sub_seed(n, draw))
            for n, draw in sorted(self.draw.used.items())
        ]

    def missing(self) -> list[Task]:
        """What is not there yet, in an order that says nothing."""
        tasks = self.tasks()
        order = self.seed.child("order").numpy().permutation(len(tasks))
        return [
            tasks[place]
            for place in order
            if not (self.out / case_id(*tasks[place][1:]) / bundles.MANIFEST).is_file()
        ]

    def choose(self) -> None:
        """Give every case a sub-seed; AuditgameError where other challenges lie in the folder."""
        used = dict(self.draw.used)
        for number in range(len(self.cases)):
            if number not in used:
                used[number] = self._next(number)
                self.draw = self.draw.model_copy(update={"used": dict(used)})
        self._keep()
        own = {case_id(task.recipe, task.seed) for task in self.tasks()}
        there = {path.parent.name for path in self.out.glob(f"*/{bundles.MANIFEST}")}
        if there - own:
            raise Conflict(
                f"'{self.out}': holds {len(there - own)} challenges that are not of this pack, "
                f"such as {min(there - own)}; name another folder, or remove them"
            )

    def next_draw(self, task: Task) -> Task:
        """The same case with its next sub-seed; AuditgameError after too many failures."""
        if task.number is None:
            raise Invalid(f"fixed: '{task.recipe.name}': its seed is not certified; name another")
        failed = (*self.draw.failed.get(task.number, ()), self.draw.used[task.number])
        if len(failed) >= MOST_FAILURES:
            raise Unavailable(
                f"plan '{self.ready.plan.name}': {len(failed)} draws of one case were not "
                "certified; build each of its recipes once, and leave out what fails"
            )
        self.draw = self.draw.model_copy(
            update={"failed": {**self.draw.failed, task.number: failed}}
        )
        used = {**self.draw.used, task.number: self._next(task.number)}
        self.draw = self.draw.model_copy(update={"used": used})
        self._keep()
        return task._replace(seed=self._sub_seed(task.number, used[task.number]))

    def _next(self, number: int) -> int:
        """The first sub-seed of a case that did not fail, with an id and a title of its own."""
        others = [task for task in self.tasks() if task.number != number]
        titles = {case_title(task.recipe, task.seed) for task in others}
        ids = {case_id(task.recipe, task.seed) for task in others}
        failed, recipe = self.draw.failed.get(number, ()), self.cases[number].recipe
        return next(
            draw
            for draw, seed in self.cases[number].seeds()
            if draw not in failed
            and case_title(recipe, seed) not in titles
            and case_id(recipe, seed) not in ids
        )

    def _sub_seed(self, number: int, draw: int) -> Seed:
        return self.cases[number].sub_seed(draw)

    def _keep(self) -> None:
        host.replace_secret(self.file, self.draw.model_dump_json().encode())


def _run(
    todo: list[Task],
    out: Path,
    jobs: int,
    microscope: bool,
    again: Callable[[Task], Task],
) -> Iterator[str | None]:
    """The id of each case as it is built; None for a draw that failed, whose next one follows."""
    if jobs == 1:
        while todo:
            task = todo.pop(0)
            made = _make(task, out, microscope)
            if made is None:
                todo.insert(0, again(task))
            yield made
        return
    with ProcessPoolExecutor(jobs) as pool:
        running: dict[Future[str | None], Task] = {
            pool.submit(_make, task, out, microscope): task for task in todo
        }
        try:
            while running:
                for ended in wait(running, return_when=FIRST_COMPLETED).done:
                    task, made = running.pop(ended), ended.result()
                    if made is None:
                        following = again(task)
                        running[pool.submit(_make, following, out, microscope)] = following
                    yield made
        finally:
            pool.shutdown(cancel_futures=True)


def _make(task: Task, out: Path, microscope: bool) -> str | None:
    """The id of the built case; None where it is not certified."""
    try:
        return build(task.recipe, task.seed, out, microscope=microscope).name
    except BuildFailed:
        return None
