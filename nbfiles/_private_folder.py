"""A private folder: one that nobody but its owner can look into, from the moment it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make(folder: Path) -> None:
    """Make `folder`, and whatever is missing above it, for their owner alone; what exists is left as it is.

    `Path.mkdir` with ``parents=True`` would make those above as the umask has it, as a rule open to everybody. That
    folders of data which are missing get the mode 0700 is also what the XDG Base Directory Specification asks.

    Raises
    ------
    OSError
        If it cannot be made, or is something else than a folder.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        if folder == folder.parent:
            raise
        make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
