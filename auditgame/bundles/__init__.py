"""A player's folder: what it says of itself, and whether its files are what it says. No torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from auditgame.schema.cards import Card, Site
from auditgame.schema.errors import AuditgameError
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
"""Pictures in a row of the sheet of examples."""
VERSION = 1
LARGEST = 64 * 2**20
"""No file of a bundle may be larger (bytes)."""

Kind = TypeVar("Kind", bound=Record)
FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.]{0,63}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(Record):
    """bundle.json: everything public about a challenge."""

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
    """reference.json: a clean sibling, trained like the challenges of its data set and model."""

    version: Literal[1]
    dataset: str
    model: str
    seed: int
    accuracy: float
    files: dict[FileName, Digest]


def read_manifest(folder: Path) -> Manifest:
    """What does this bundle say of itself? Its files are not looked at."""
    return _parse(folder / MANIFEST, Manifest)


def read_reference(folder: Path) -> Reference:
    """What does this sibling say of itself?"""
    return _parse(folder / REFERENCE, Reference)


def card(folder: Path) -> Card:
    """The challenge as a player sees it before sitting down."""
    manifest = read_manifest(folder)
    brief = _text(read_file(folder, BRIEF, manifest.files), f"{folder.name}/{BRIEF}")
    public = manifest.model_dump(include=set(Card.model_fields))
    return Card(**public, brief=brief, path=str(folder))


def read_file(folder: Path, name: str, files: dict[str, str]) -> bytes:
    """The bytes of one listed file, if they are the ones that the manifest names."""
    path = folder / name
    if name not in files:
        raise AuditgameError(f"{folder.name}: {name} is not listed among its files")
    if path.is_symlink() or not path.is_file():
        raise AuditgameError(f"{folder.name}: {name} is missing; fetch the bundle again")
    if path.stat().st_size > LARGEST:
        raise AuditgameError(f"{folder.name}: {name} is over {LARGEST >> 20} MB; refused")
    content = path.read_bytes()
    if name.endswith(".safetensors"):
        require_safetensors(content, f"{folder.name}: {name}")
    if hashlib.sha256(content).hexdigest() != files[name]:
        raise AuditgameError(
            f"{folder.name}: {name} was changed: its digest is not the manifest's; "
            "fetch the bundle again"
        )
    return content


def require_safetensors(content: bytes, where: str) -> None:
    """Refuse what is not a safetensors file, pickles above all, by its first bytes."""
    if content[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise AuditgameError(f"{where} is a pickle, not safetensors; refused, it could run code")
    length = int.from_bytes(content[:8], "little")
    if len(content) < 9 or length > len(content) - 8 or content[8:9] != b"{":
        raise AuditgameError(f"{where} is not a safetensors file")


def verify_files(folder: Path, files: dict[str, str], also: frozenset[str]) -> None:
    """Check every file against its digest; refuse strangers that are neither listed nor `also`."""
    for name in sorted(files):
        read_file(folder, name, files)
    strangers = sorted({path.name for path in folder.iterdir()} - files.keys() - also)
    if strangers:
        raise AuditgameError(f"{folder.name}: unknown file '{strangers[0]}'; remove it")


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
        raise AuditgameError(f"{where} is not UTF-8 text") from None


def _parse(path: Path, kind: type[Kind]) -> Kind:
    where = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise AuditgameError(f"{where} is missing; '{path.parent}' is no bundle")
    if path.stat().st_size > 2**20:
        raise AuditgameError(f"{where} is over 1 MB; refused")
    try:
        data = json.loads(_text(path.read_bytes(), where))
    except json.JSONDecodeError as error:
        raise AuditgameError(f"{where}: not JSON: {error.msg} in line {error.lineno}") from None
    except RecursionError:
        raise AuditgameError(f"{where}: not a manifest: nested too deeply") from None
    if isinstance(data, dict) and data.get("version") != VERSION:
        found = data.get("version")
        newer = isinstance(found, int) and found > VERSION
        remedy = "upgrade auditgame" if newer else "build it again with this version"
        raise AuditgameError(
            f"{where}: version {found!r}, this program reads version {VERSION}; {remedy}"
        )
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise explain(error, where) from None
