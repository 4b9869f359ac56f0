"""The limit for one file where its size is not known before it is made: an archive, a stream without an end."""

from __future__ import annotations

from nbfiles._config import settings
from nbfiles._errors import FileTooLargeError
from nbfiles._names import visible


def refuse_larger(name: str, size: int) -> None:
    """Raise FileTooLargeError once `size` bytes are more than one file may have, so that no disk fills up in vain."""
    limit = settings().max_file_size
    if size > limit:
        raise FileTooLargeError(
            f"{visible(name)} is over {limit:,} bytes, which one file may have at most", "Nothing was sent."
        )
