"""``Format``: one way to write one kind of source; and how the one that is asked for is chosen and written.

A kind that can become several formats has a `Family` of them. An encoder takes a `Job` and writes it into a `Spool`
once; it returns what it has to note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from nbfiles._errors import Error, InputError
from nbfiles._names import TYPES, check_filename, ending_of, filename_for, mime_type_for, visible
from nbfiles._payload import Spool
from nbfiles.sources._registry import named

if TYPE_CHECKING:
    from nbfiles._payload import Payload
    from nbfiles.sources._request import Request


class Job(Protocol):
    """What an encoder is given; a `Table`, or a `Thing`."""

    options: dict[str, Any]
    lossy: bool


@dataclass(slots=True)
class Thing:
    """Something that is no table, on its way into a file.

    Parameters
    ----------
    value : object
        What is to be written.
    options : dict, default {}
        Options of the writer, checked.
    lossy : bool, default False
        Write what the format would lose as well as it goes.
    """

    value: Any
    options: dict[str, Any] = field(default_factory=dict)
    lossy: bool = False


Encoder = Callable[[Any, Spool], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Parameters
    ----------
    name : str
        As ``--format`` calls it.
    endings : tuple of str
        The endings that mean it; the first one is given to files without a name.
    options : frozenset of str
        What ``--opt`` may set.
    encode : callable
        Writes a `Job` into a `Spool`, and returns notes.
    """

    name: str
    endings: tuple[str, ...]
    options: frozenset[str]
    encode: Encoder


class Family:
    """The formats that one kind of source can become.

    Parameters
    ----------
    what : str
        How messages call the kind, such as ``a frame``.
    *formats : Format
        The first is taken where nothing else is said.
    """

    def __init__(self, what: str, *formats: Format) -> None:
        self.what = what
        self.formats = {each.name: each for each in formats}
        self._by_ending = {ending: each for each in formats for ending in each.endings}

    def has(self, request: Request) -> bool:
        """Whether `request` asks for one of these formats, by its name or by the ending of the file's."""
        if request.format is not None:
            return request.format in self.formats
        return ending_of(request.name or "") in self._by_ending

    def choose(self, request: Request) -> Format:
        """Return the format that is asked for: by name, by the ending of the file's name, by purpose, else the first.

        Raises
        ------
        InputError
            If there is no such format, the ending belongs to another kind of file, or the two contradict each other.
        """
        name, asked = request.name or "", request.format
        ending = ending_of(name)
        by_ending = self._by_ending.get(ending)
        if asked is None:
            if by_ending is None and ending in TYPES:
                raise InputError(
                    f"{self.what} cannot be written as {visible(name)}",
                    f"It can be {', '.join(self.formats)}: --format {next(iter(self.formats))}.",
                )
            return by_ending or self._for_purpose(request)
        if asked not in self.formats:
            raise InputError(
                f"there is no format {visible(asked)} for {self.what}", f"It is one of {', '.join(self.formats)}."
            )
        chosen = self.formats[asked]
        if ending in TYPES and by_ending is not chosen:
            raise InputError(
                f"{visible(name)} would be the wrong name for {asked}",
                f"End it in {chosen.endings[0]}, or leave --format out.",
            )
        return chosen

    def _for_purpose(self, request: Request) -> Format:
        """Return the first format that serves ``--for``; the first of all where none does, which is then refused."""
        if request.type is None:
            for each in self.formats.values():
                try:
                    mime_type_for(f"x{each.endings[0]}", purpose=request.for_)
                except InputError:
                    continue
                return each
        return next(iter(self.formats.values()))

    def settle(self, request: Request, options: dict[str, Any] | None = None) -> tuple[Format, str]:
        """Return the format and the file's name, and refuse what cannot be before anything is encoded.

        Parameters
        ----------
        request : Request
        options : dict, optional
            Those of the writer, where some of `request`'s are for others.
        """
        format_ = self.choose(request)
        for key in dict(request.opt) if options is None else options:
            if key not in format_.options:
                has = f"It has: {', '.join(sorted(format_.options))}." if format_.options else "It has none."
                raise InputError(f"{format_.name} has no option {visible(key)}", has)
        name = check_filename(request.name or filename_for(request.label, format_.endings[0]))
        mime_type_for(name, **request.mime)
        return format_, name

    def payload(self, value: Any, request: Request, notes: tuple[str, ...] = ()) -> Payload:
        """Return the payload of `value`, which is no table, in the format that is asked for."""
        format_, name = self.settle(request)
        return encoded(Thing(value, dict(request.opt), request.lossy), format_, name, request, notes)


def encoded(job: Job, format_: Format, name: str, request: Request, notes: tuple[str, ...] = ()) -> Payload:
    """Encode `job` once into a temporary file, and return its payload.

    Raises
    ------
    LossError
        If the format would lose something.
    InputError
        If a library cannot write it with the options that were given.
    """
    with Spool() as spool:
        try:
            notes += format_.encode(job, spool)
        except (Error, UnicodeError):
            raise
        except Exception as error:  # every library has its own for an option that it does not like
            if not job.options:
                raise
            options = ", ".join(f"{key}={value!r}" for key, value in job.options.items())
            raise InputError(
                f"{format_.name} cannot be written with {visible(options)}: {visible(str(error))}", "Mend the option."
            ) from None
        return spool.payload(name=name, source=named(request, "<DataFrame>"), notes=notes, **request.mime)
