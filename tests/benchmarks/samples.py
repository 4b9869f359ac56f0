"""Samples: files to upload whose names say what they hold, ``<sha256>-<bytes>.bin``, so that the sink can compare."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from .memory import MIB

if TYPE_CHECKING:
    from pathlib import Path


def sample(folder: Path, size: int, number: int = 0) -> Path:
    """Make one file of `size` bytes, another for each `number`."""
    path = fill(folder / "sample", size, number)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path.rename(folder / f"{digest}-{size}.bin")


def fill(path: Path, size: int, number: int = 0) -> Path:
    """Write bytes that differ from piece to piece, so that a piece sent twice or left out changes the digest."""
    with path.open("wb") as file:
        for at in range(0, size, MIB):
            piece = hashlib.sha256(f"{number} {at}".encode()).digest() * (MIB // 32)
            file.write(piece[: size - at])
    return path
