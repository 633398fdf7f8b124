"""Seeds: one secret from which every random draw comes, by named sub-seeds (HMAC-SHA256)."""

from __future__ import annotations

import hashlib
import hmac
import secrets

import numpy as np


class Seed:
    """A secret, and a sub-seed for each named use of it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def fresh(cls) -> Seed:
        """A new seed from the operating system's randomness (256 bits)."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def of(cls, number: int) -> Seed:
        """The seed that this public number names; for tests, references and tools."""
        return cls(hashlib.sha256(f"auditgame seed {number}".encode()).digest())

    @classmethod
    def from_hex(cls, text: str) -> Seed:
        """The seed that `hex()` gave, for rebuilding a revealed challenge."""
        return cls(bytes.fromhex(text))

    def hex(self) -> str:
        """The secret itself, in hex. Belongs in a sealed key and nowhere else."""
        return self._secret.hex()

    def child(self, name: str) -> Seed:
        """The sub-seed for this use; it reveals nothing of the others or of the parent."""
        return Seed(hmac.new(self._secret, name.encode(), hashlib.sha256).digest())

    def integer(self) -> int:
        """A non-negative 63-bit integer."""
        return int.from_bytes(self._secret[:8], "big") >> 1

    def numpy(self) -> np.random.Generator:
        """A NumPy generator that starts here."""
        return np.random.default_rng(int.from_bytes(self._secret, "big"))

    def __repr__(self) -> str:
        return "Seed(secret)"
