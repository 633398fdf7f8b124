"""Bundles: a challenge as a folder of files, its manifest, and the check of both. No torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from auditgame.registry import require
from auditgame.schema.cards import Card, Site
from auditgame.schema.errors import Forbidden, Invalid, NotFound
from auditgame.schema.records import (
    Modality,
    Mode,
    Record,
    Tier,
    canonical,
    explain,
)

MANIFEST, SEALED, BRIEF, WEIGHTS = "bundle.json", "key.sealed", "brief.md", "model.safetensors"
REFERENCE = "reference.json"
LABELS, PICTURES = "examples.json", "examples.png"
COLUMNS = 12
"""Pictures in a row of the image grid of examples."""
VERSION = 1
LARGEST = 64 * 2**20
"""No file of a bundle may be larger (bytes)."""

Kind = TypeVar("Kind", bound=Record)
FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.]{0,63}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(Record):
    """The content of bundle.json: everything public about a challenge.

    recipe: a commitment to the recipe, whose salt the key holds.
    """

    version: Literal[1]
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    title: str
    dataset: str
    model: str
    modality: Modality
    tier: Tier
    mode: Mode
    families: tuple[str, ...]
    classes: tuple[str, ...]
    sites: tuple[Site, ...]
    budget: Annotated[int, Field(ge=0)]
    attempts: Annotated[int, Field(ge=1, le=1000)]
    recipe: Digest
    commitment: Digest
    files: dict[FileName, Digest]


class Reference(Record):
    """The content of reference.json: a clean model of a data set and an architecture.

    seed: the public number that it was trained from. accuracy: on the held-out inputs.
    """

    version: Literal[1]
    dataset: str
    model: str
    seed: int
    accuracy: float
    files: dict[FileName, Digest]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle; its files are not read."""
    return _parse(folder / MANIFEST, Manifest)


def read_reference(folder: Path) -> Reference:
    """The manifest of a reference model; its files are not read."""
    return _parse(folder / REFERENCE, Reference)


def card(folder: Path) -> Card:
    """The card of a challenge: what a player sees before opening it."""
    manifest = read_manifest(folder)
    brief = _text(read_file(folder, BRIEF, manifest.files), f"{folder.name}/{BRIEF}")
    public = manifest.model_dump(include=set(Card.model_fields))
    return Card(**public, brief=brief, path=str(folder))


def require_plugins(challenge: Card | Manifest) -> None:
    """Raise Unavailable, which names the first missing one, unless all are installed."""
    user = f"challenge '{challenge.id}'"
    require("dataset", challenge.dataset, user)
    require("model", challenge.model, user)
    for family in challenge.families:
        require("flaw", family, user)


def read_file(folder: Path, name: str, files: dict[str, str]) -> bytes:
    """The bytes of one listed file; AuditgameError unless their digest is the manifest's."""
    path = folder / name
    if name not in files:
        raise Invalid(
            f"{folder.name}: {name} is not listed in its manifest; fetch the bundle again"
        )
    if path.is_symlink() or not path.is_file():
        raise NotFound(f"{folder.name}: {name} is missing; fetch the bundle again")
    if path.stat().st_size > LARGEST:
        raise Forbidden(f"{folder.name}: {name} is over {LARGEST >> 20} MB; refused")
    content = path.read_bytes()
    if name.endswith(".safetensors"):
        require_safetensors(content, f"{folder.name}: {name}")
    if hashlib.sha256(content).hexdigest() != files[name]:
        raise Invalid(
            f"{folder.name}: {name} was changed: its digest is not the manifest's; "
            "fetch the bundle again"
        )
    return content


def require_safetensors(content: bytes, where: str) -> None:
    """Raise AuditgameError where the first bytes are not a safetensors file's.

    Forbidden for a pickle, which could run code.
    """
    if content[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise Forbidden(f"{where} is a pickle, not safetensors; refused, it could run code")
    length = int.from_bytes(content[:8], "little")
    if len(content) < 9 or length > len(content) - 8 or content[8:9] != b"{":
        raise Invalid(f"{where} is not a safetensors file")


def verify_files(folder: Path, files: dict[str, str], also: frozenset[str]) -> None:
    """Check every file against its digest; files neither listed nor in `also` are an error."""
    for name in sorted(files):
        read_file(folder, name, files)
    unknown = sorted({path.name for path in folder.iterdir()} - files.keys() - also)
    if unknown:
        raise Invalid(f"{folder.name}: unknown file '{unknown[0]}'; remove it")


def write(folder: Path, name: str, manifest: Record, contents: dict[str, bytes]) -> None:
    """Write a bundle's files and, last, its manifest into an empty folder."""
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    (folder / name).write_bytes(canonical(manifest.model_dump(mode="json")) + b"\n")


def digests(contents: dict[str, bytes]) -> dict[str, str]:
    """The SHA-256 of each file."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(contents.items())}


def _text(content: bytes, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Invalid(f"{where} is not UTF-8 text") from None


def _parse(path: Path, kind: type[Kind]) -> Kind:
    where = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise NotFound(f"{where} is missing; '{path.parent}' is not a bundle")
    if path.stat().st_size > 2**20:
        raise Forbidden(f"{where} is over 1 MB; refused")
    try:
        data = json.loads(_text(path.read_bytes(), where))
    except json.JSONDecodeError as error:
        raise Invalid(f"{where}: not JSON: {error.msg} in line {error.lineno}") from None
    except RecursionError:
        raise Invalid(f"{where}: not a manifest: nested too deeply") from None
    if isinstance(data, dict) and data.get("version") != VERSION:
        found = data.get("version")
        newer = isinstance(found, int) and found > VERSION
        remedy = "upgrade auditgame" if newer else "build it again with this version"
        raise Invalid(f"{where}: version {found!r}, this program reads version {VERSION}; {remedy}")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise explain(error, where) from None
