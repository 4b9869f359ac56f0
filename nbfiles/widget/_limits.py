"""``Limits``: what an upload widget takes, and why it does not take the rest.

They are checked in the kernel before the first byte leaves the browser, so a rule is written once; the browser's own
file chooser gets them as hints only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from nbfiles._errors import InputError
from nbfiles._names import TYPES, check_filename, check_mime_type, ending_of, mime_type_for, visible
from nbfiles._render import counted, size
from nbfiles.sources import TOOLS, is_private

if TYPE_CHECKING:
    from collections.abc import Sequence

# As in <input accept>: https://html.spec.whatwg.org/multipage/input.html#attr-input-accept
_TOKEN = re.compile(r"\.[\w.+-]+|[\w.+-]+/(?:[\w.+-]+|\*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be sent, and as what.

    Parameters
    ----------
    accept : tuple of str
        Endings (``.pdf``) and MIME types (``image/*``), one of which must fit; empty: anything.
    multiple : bool
        Whether there may be more than one file.
    max_files : int or None
        At most so many; None: any number.
    max_bytes : int
        The most that one file may have.
    name, type, for_
        As in ``%upload``.

    Raises
    ------
    InputError
        If one of them cannot be right.
    """

    accept: tuple[str, ...]
    multiple: bool
    max_files: int | None
    max_bytes: int
    name: str | None = None
    type: str | None = None
    for_: str = "auto"

    def __post_init__(self) -> None:
        for token in self.accept:
            if not _TOKEN.fullmatch(token):
                raise InputError(
                    f"{visible(token)!r} is not something to accept", "Write '.pdf', 'image/*' or 'text/csv'."
                )
        for name in ("max_files", "max_bytes"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(
                    f"{name} must be a whole number from 1 on, not {value!r}", "Leave it out for no limit."
                )
        if self.name is not None:
            if self.multiple:
                raise InputError("name is for one file", "Leave it out, or say multiple=False.")
            check_filename(self.name)
        if self.type is not None:
            check_mime_type(self.type)

    @classmethod
    def accepted(cls, accept: str | Sequence[str]) -> tuple[str, ...]:
        """Split ``".pdf, image/*"``, or take a list of such, in small letters.

        Raises
        ------
        InputError
            If it is neither.
        """
        parts = accept.split(",") if isinstance(accept, str) else accept
        if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
            raise InputError(
                f"accept must be a text or a list of texts, not {accept!r}", "Write '.pdf, image/*', or leave it out."
            )
        return tuple(part.strip().lower() for part in parts if part.strip())

    def within(self, most: int) -> Limits:
        """Return them with no file larger than `most` bytes."""
        return replace(self, max_bytes=min(self.max_bytes, most))

    def shown(self) -> dict[str, Any]:
        """Return them as the browser's half needs them."""
        return {
            "accept": ",".join(self.accept),
            "multiple": self.multiple,
            "max_files": self.max_files,
            "max_bytes": self.max_bytes,
        }

    def mime_type(self, name: str, head: bytes = b"") -> str:
        """Return the MIME type to send the file `name` with; see `mime_type_for` for what is raised."""
        return mime_type_for(name, head=head, asked=self.type, purpose=self.for_)

    def likely_type(self, name: str) -> str:
        """Return the MIME type as far as the name tells it; ``""`` if only the first bytes will.

        Raises
        ------
        InputError
            If the name alone tells that the file cannot serve.
        """
        known = self.type is not None or ending_of(name) in TYPES
        return self.mime_type(name) if known else ""

    def passes_over(self, path: str) -> bool:
        """Whether a file of a folder is one that nobody means when they choose it: what tools keep for themselves."""
        return any(part in TOOLS for part in path.split("/"))

    def refusal(self, name: str, path: str, count: int, others: int) -> str | None:
        """Return why a file may not be sent, as a sentence for its row; None if it may.

        Parameters
        ----------
        name : str
            The file name that would be sent.
        path : str
            Where it lies in the folder that was chosen; ``""`` for a file that was chosen by itself.
        count : int
            Its bytes.
        others : int
            How many files are on the list already.
        """
        try:
            check_filename(name)
            self.likely_type(name)
        except InputError as error:
            return f"Not sent: {error.cause}."
        if not self._accepts(name):
            return f"Not sent: only {', '.join(self.accept)} is accepted here."
        if count > self.max_bytes:
            return f"Not sent: {size(count)} is over the {size(self.max_bytes)} limit for one file."
        if count == 0:
            return "Not sent: empty file."
        if path and any(is_private(part) for part in path.split("/")):
            return "Not sent: hidden or a key file. Choose it by itself to send it."
        if self.multiple and self.max_files is not None and others >= self.max_files:
            return f"Not sent: {counted(self.max_files, 'file')} at most."
        return None

    def _accepts(self, name: str) -> bool:
        if not self.accept:
            return True
        kind = TYPES.get(ending_of(name), "")
        return any(
            name.lower().endswith(token) if token.startswith(".") else fnmatch(kind, token) for token in self.accept
        )
