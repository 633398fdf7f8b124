"""Sealed keys: the answer of a challenge, encrypted so that only the referee can read it.

Only `challenges.sealing` and `play.referee` may import this module.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Annotated, Any

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from pydantic import Field, ValidationError

from auditgame import host
from auditgame.bundles.case_names import case_title
from auditgame.schema.diagnosis import Diagnosis
from auditgame.schema.errors import Forbidden, Unavailable
from auditgame.schema.recipe import Recipe
from auditgame.schema.records import Record, canonical, digest, explain
from auditgame.schema.results import Certificate, Chance
from auditgame.seeds import Seed

PUBLISHED = "published.key"
"""A practice pack publishes its private key: the seal protects from spoilers only."""

BLOCK = 16384
"""The size of a sealed key is a multiple of so many bytes; one block holds any family's key."""


def _absent(value: object) -> bool:
    return value is None


class Key(Record):
    """The answer of one challenge, and all that is needed to rebuild and to check it.

    salt: of the commitment. recipe_salt: of the commitment to the recipe alone; older challenges
    have none: they give the recipe's plain digest and its title in public.
    chance: what random claims achieve; None for clean models, and in keys sealed before it was
    measured, whose dumps and commitments do not have it.
    """

    challenge: str
    recipe: Recipe
    seed: str
    salt: str
    recipe_salt: Annotated[str | None, Field(exclude_if=_absent)] = None
    family: str
    claim: dict[str, Any] | None
    units: tuple[str, ...]
    model_digest: str
    certificate: Certificate
    confession: str
    chance: Annotated[Chance | None, Field(exclude_if=_absent)] = None

    @property
    def truth(self) -> Diagnosis:
        """The answer as a diagnosis with full marks."""
        flawed = self.claim is not None
        return Diagnosis(
            p_flawed=float(flawed),
            family=self.family if flawed else None,
            claim=self.claim,
            units=self.units,
        )

    @property
    def title(self) -> str:
        """The public title of the challenge."""
        if self.recipe_salt is None:
            return self.recipe.title
        return case_title(self.recipe, Seed.from_hex(self.seed))

    @property
    def recipe_commitment(self) -> str:
        """The public commitment to the recipe, which no public recipe can be matched with."""
        recipe = self.recipe.model_dump(mode="json")
        if self.recipe_salt is None:
            return digest(recipe)
        return _hmac(self.recipe_salt, canonical(recipe))

    def __repr__(self) -> str:
        return f"Key({self.challenge})"

    __str__ = __repr__


def commit(key: Key) -> str:
    """The public commitment: HMAC-SHA256 of the canonical key under its 256-bit salt."""
    return _hmac(key.salt, canonical(key.model_dump(mode="json")))


def seal(key: Key, public: PublicKey) -> bytes:
    """The key, encrypted for the holder of the private key.

    Padded with spaces to whole blocks, for its length would tell flawed from clean models.
    """
    plain = canonical(key.model_dump(mode="json"))
    return SealedBox(public).encrypt(plain.ljust(-(-len(plain) // BLOCK) * BLOCK))


def unseal(sealed: bytes, private: PrivateKey) -> Key:
    """The decrypted key; AuditgameError where it was sealed to another host or was damaged."""
    try:
        return Key.model_validate_json(SealedBox(private).decrypt(sealed))
    except CryptoError:
        raise Forbidden(
            "key.sealed: cannot be opened here; it is damaged, or was sealed by another host or "
            "under another database (--db)"
        ) from None
    except ValidationError as error:
        raise explain(error, "key.sealed") from None


def private_key(pack: Path) -> PrivateKey:
    """The private key for the challenges of this pack: the published one, or the host's own."""
    published = pack / PUBLISHED
    if published.is_file():
        return _parse(published, published.read_bytes())
    return _parse(*host.secret("host.key", _fresh))


def _hmac(salt: str, message: bytes) -> str:
    return hmac.new(bytes.fromhex(salt), message, hashlib.sha256).hexdigest()


def _fresh() -> bytes:
    return bytes(PrivateKey.generate()).hex().encode() + b"\n"


def _parse(path: Path, content: bytes) -> PrivateKey:
    try:
        return PrivateKey(bytes.fromhex(content.decode().split()[-1]))
    except (ValueError, IndexError, TypeError):
        raise Unavailable(
            f"'{path}': not a private key of 64 hex digits; restore it from a backup"
        ) from None
