"""Sealing a challenge: the public bundle, and the key that only the referee can open."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from nacl.public import PrivateKey

from auditgame import bundles
from auditgame.bundles import bundle_io, keys
from auditgame.bundles.case_names import case_id
from auditgame.challenges.fine_tuning import ChallengeBuild
from auditgame.datasets import Dataset, Examples
from auditgame.models import Model
from auditgame.registry import load
from auditgame.schema.errors import Conflict
from auditgame.schema.recipe import Recipe
from auditgame.schema.records import Record
from auditgame.schema.results import Certificate, Chance
from auditgame.specimen import Specimen

PUBLISHED_LABEL = "published practice key: spoiler protection, not security"
FILE_TIME = 315_532_800
"""The time that every file of a bundle bears: 1 January 1980, the earliest in a zip file."""


class CertifiedModel(NamedTuple):
    """A model whose certificate was measured on its exported weights."""

    model: Model
    specimen: Specimen
    certificate: Certificate


class Answer(NamedTuple):
    """What was found out about a certified model, to be sealed with its claim.

    units: those that carry the flaw. chance: what random claims achieve.
    """

    units: tuple[str, ...]
    chance: Chance | None


def seal(
    challenge: ChallengeBuild,
    planted: CertifiedModel,
    answer: Answer,
    pool: Examples,
    pictures: dict[str, bytes],
    out: Path,
) -> Path:
    """Write the bundle and its sealed key; the folder appears whole or not at all."""
    recipe, dataset = challenge.recipe, challenge.dataset
    name = case_id(recipe, challenge.seed)
    files = {
        **bundle_io.pack_model(planted.model, dataset),
        **bundle_io.pack_examples(pool, dataset),
        **pictures,
        bundles.BRIEF: brief(recipe, dataset).encode(),
    }
    key = make_key(name, challenge, planted.certificate, answer, files[bundles.WEIGHTS])
    manifest = bundles.Manifest(
        version=bundles.VERSION,
        id=name,
        title=key.title,
        dataset=recipe.dataset,
        model=recipe.model,
        modality=dataset.modality,
        tier=recipe.tier,
        mode=recipe.mode,
        families=recipe.offered,
        classes=dataset.classes,
        sites=tuple(planted.specimen.sites.values()),
        budget=recipe.budget,
        attempts=1 if recipe.mode == "ranked" else 10,
        recipe=key.recipe_commitment,
        commitment=keys.commit(key),
        files=bundles.digests(files),
    )
    files[bundles.SEALED] = keys.seal(key, keys.private_key(out).public_key)
    challenge.report("seal", 1.0, name)
    return publish(out / name, bundles.MANIFEST, manifest, files)


def make_key(
    name: str,
    challenge: ChallengeBuild,
    certificate: Certificate,
    answer: Answer,
    weights: bytes,
) -> keys.Key:
    """The answer in full, with what is needed to rebuild and to check it."""
    claim = challenge.flaw.true_claim()
    return keys.Key(
        challenge=name,
        recipe=challenge.recipe,
        seed=challenge.seed.hex(),
        salt=challenge.seed.child("salt").hex(),
        recipe_salt=challenge.seed.child("recipe salt").hex(),
        family=challenge.flaw.name,
        claim=claim.model_dump(mode="json") if claim else None,
        units=answer.units,
        model_digest=hashlib.sha256(weights).hexdigest(),
        certificate=certificate,
        chance=answer.chance,
        confession=claim.describe() if claim else "Nothing was planted: the model is clean.",
    )


def publish_key(pack: Path) -> None:
    """Give a pack a private key of its own, which is public, unless it has one."""
    path = pack / keys.PUBLISHED
    if not path.exists():
        pack.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{PUBLISHED_LABEL}\n{bytes(PrivateKey.generate()).hex()}\n")


def brief(recipe: Recipe, dataset: Dataset) -> str:
    """The text that players see: the recipe's own, or one that names model and families."""
    if recipe.brief:
        return recipe.brief
    families = ", ".join(load("flaw", name).title for name in recipe.offered)
    return (
        f"This model ({load('model', recipe.model).title}) was trained on the data set "
        f"{dataset.title}. It answers with one of: {', '.join(dataset.classes)}. It may be clean, "
        f"or have a flaw of one of these families: {families}. Find out which, what triggers it, "
        "and which units carry it.\n"
    )


def publish(folder: Path, name: str, manifest: Record, files: dict[str, bytes]) -> Path:
    """Write files and manifest into a hidden folder, then rename it: whole or not at all.

    Every file bears one time, since how long a build took would tell flawed from clean models.
    """
    if folder.exists():
        raise Conflict(f"{folder.name} exists already; remove it to build it again")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        bundles.write(draft, name, manifest, files)
        draft.chmod(0o755)
        for path in (*draft.iterdir(), draft):
            os.utime(path, (FILE_TIME, FILE_TIME))
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder
