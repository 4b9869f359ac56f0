"""``Request``: what was asked for beside the source itself; and ``Kind``, what a family member must answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from nbfiles._errors import InputError
from nbfiles._names import PURPOSES, check_filename, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbfiles._payload import Payloads


class Mime(TypedDict):
    """The two arguments by which a payload's MIME type is chosen."""

    asked: str | None
    purpose: str


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for beside the source.

    Parameters
    ----------
    label : str, default ""
        The Python expression or variable as it was written; names what has no name of its own.
    name : str or None, default None
        The file name to send (``--name``); None takes the path's, or makes one from `label`.
    type : str or None, default None
        The MIME type (``--type``).
    for_ : {"auto", "document", "container", "image"}, default "auto"
        What the file is for (``--for``).
    format : str or None, default None
        The format of a frame (``--format``); None takes it from the ending of `name`, else ``csv``.
    opt : tuple of (str, object), default ()
        Options of the writer, or of the store that a URL is in (``--opt``).
    storage_options : Mapping of str to object, default {}
        Options of that store which may hold a key, so only Python gives them; headers where it is a web address.
    index : bool or None, default None
        Whether a frame's index is written; None leaves out a default RangeIndex and writes any other.
    max_rows, sample : int or None, default None
        The first rows of a frame; or so many random ones (always the same ones), in their order.
    include, exclude : tuple of str, default ()
        Globs for the files of a folder or glob; they match the relative path or the file name.
    lossy : bool, default False
        Write even where the format changes or merges values.
    zip : bool, default False
        Whether a folder is sent as one archive.

    Raises
    ------
    InputError
        If `name` is no file name, `for_` is no purpose, or a number of rows is negative.
    """

    label: str = ""
    name: str | None = None
    type: str | None = None
    for_: str = "auto"
    format: str | None = None
    opt: tuple[tuple[str, object], ...] = ()
    index: bool | None = None
    max_rows: int | None = None
    sample: int | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    lossy: bool = False
    zip: bool = False
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.name is not None:
            check_filename(self.name)
        if self.for_ not in PURPOSES:
            raise InputError(f"for_ cannot be {visible(str(self.for_))}", f"It is one of {', '.join(PURPOSES)}.")
        for word, rows in (("max_rows", self.max_rows), ("sample", self.sample)):
            if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 0):
                raise InputError(f"{word} must be a number of rows", f"Write {word}=1000.")

    @property
    def mime(self) -> Mime:
        """What `_names.mime_type_for` wants to know."""
        return {"asked": self.type, "purpose": self.for_}

    def member(self, number: int) -> Request:
        """Return the request for the member `number` of what this one asks for."""
        return replace(self, label=f"{self.label}[{number}]")

    def refuse_name(self, what: str) -> None:
        """Raise InputError if a file name is given for `what`, which is many files."""
        if self.name is not None:
            raise InputError(f"--name is for one file, and {what} is sent as many", "Leave it out (name= in Python).")

    def refuse_zip(self, what: str) -> None:
        """Raise InputError if an archive is asked for of `what`, which is no folder."""
        if self.zip:
            raise InputError(f"--zip is for a folder, and {what} is none", "Leave it out (zip= in Python).")


class Kind(Protocol):
    """One member of the family: it knows its sources by sight and makes payloads of them. A module can be one."""

    def matches(self, obj: Any, /) -> bool:
        """Whether `obj` is of this kind; must be quick and must not import or read anything."""

    def payloads(self, obj: Any, request: Request, /) -> Payloads:
        """Return the payloads of `obj`, which `matches`."""
