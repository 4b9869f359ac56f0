"""The receipt: what a call did, in one line, with the notes a person should read.

A receipt counts what happened by what happened ("4 files uploaded · 1 unchanged, reused"), in HTML and in text. It
replaces the progress bar; the table, where one is shown, stands below it. The one-line errors of magics are made here
too, as the counterpart: what was not done, and the way out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbfiles import _render
from nbfiles._names import blocks_for, visible
from nbfiles._render import NOTHING, Column, Piece, code, codes, counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_RED, _PLAIN = "\x1b[1;31m", "\x1b[0m"
_PLAN = (
    Column("file", "name"),
    Column("bytes", figures=True),
    Column("mime_type", "mime"),
    Column("block"),
    Column("target"),
    Column("tokens", figures=True),
)
_NAMED = 12  # variables that one note names
# What this kernel has been told once and need not read again.
_told: set[str] = set()


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know beside the line.

    Parameters
    ----------
    words : Piece or str
        One sentence without its full stop. A string is escaped.
    warning : bool, default False
        Whether it is something to act on; then it has an icon.
    """

    words: Piece | str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """One file that ``--dry-run`` would have sent.

    Parameters
    ----------
    filename, mime_type : str
        As they would be stored.
    size_bytes : int or None
        Bytes; None where they are known only when the source is read.
    target : str
        What would hold the id, such as ``"csv_ids[0]"``, or ``""``.
    tokens : int or None, default None
        About how many it takes as a document or image.
    """

    filename: str
    size_bytes: int | None
    mime_type: str
    target: str = ""
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is shown under a cell when a call has ended; made by the functions of this module.

    Parameters
    ----------
    icon : str
        ``"done"``, ``"failed"``, ``"warning"`` or ``"plan"``: the line's ornament.
    line : Piece
        What happened.
    below : tuple of Piece, default ()
        Notes, or a plan's table.
    """

    icon: str
    line: Piece
    below: tuple[Piece, ...] = ()

    def __repr__(self) -> str:
        return self._drawn().text

    def _repr_html_(self) -> str:
        return self._drawn().html

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:  # noqa: ARG002  # IPython's
        """Return both forms at once; IPython chooses from them."""
        drawn = self._drawn()
        return {"text/plain": drawn.text, "text/html": drawn.html}

    def _drawn(self) -> Piece:
        cls = "nbf-line failed" if self.icon == "failed" else "nbf-line"
        line = _render.element("p", _render.icon(self.icon), self.line, cls=cls)
        return _render.output(line, *self.below)


def uploaded(
    *,
    sent: int,
    reused: int = 0,
    size: int = 0,
    seconds: float = 0.0,
    bound: Sequence[str] = (),
    expires_at: datetime | None = None,
    local: bool = False,
    notes: Sequence[Note | str] = (),
    now: datetime | None = None,
) -> Receipt:
    """Make the receipt of an upload in which nothing failed.

    Parameters
    ----------
    sent, reused : int
        Files that were sent, and files that the server had already.
    size : int, default 0
        Bytes of the files that were sent.
    seconds : float, default 0.0
        How long that took.
    bound : sequence of str, default ()
        The variables that hold the ids now.
    expires_at : datetime.datetime or None, default None
        When the files end; None for never.
    local : bool, default False
        Whether the local Files API took them. What that means is said once in a kernel's life.
    notes : sequence of Note or str, default ()
        What else to know.
    now : datetime.datetime or None, default None
        The time, for a test; None is the clock's.
    """
    verb = "stored on this machine" if local else "uploaded"
    parts: list[Piece | str] = []
    if sent or not reused:
        parts.append(f"{counted(sent, 'file')} {verb}")
    if reused:
        parts.append(f"{reused:,} unchanged, reused" if sent else f"{counted(reused, 'file')} unchanged, reused")
    if sent:
        parts.append(f"{_render.size(size)} in {_render.duration(seconds)}")
    if expires_at is not None:
        words = _render.until(expires_at, now or _render.present())
        parts.append(_render.moment(words if words == "expired" else f"expires {words}", expires_at))
    if bound:
        parts.append("bound " + codes(bound))
    below = drawn(notes)
    if local and "local" not in _told:
        _told.add("local")
        below = (_local_note(sent + reused), *below)
    return Receipt("done", _render.dotted(parts), below)


def failed(*, count: int, total: int, kept: Sequence[str] = (), unbound: Sequence[str] = ()) -> str:
    """Say that `count` of `total` files failed, and what became of the names, as the cause of one error.

    Parameters
    ----------
    count, total : int
        Files that failed, and files in all.
    kept : sequence of str, default ()
        Variables that keep their old value.
    unbound : sequence of str, default ()
        Variables that had none and still have none.
    """
    cause = f"{count:,} of {counted(total, 'file')} failed"
    for names, one, more in (
        (kept, "keeps its old value", "keep their old values"),
        (unbound, "was not bound", "were not bound"),
    ):
        if names:
            cause += f"; {', '.join(names)} {one if len(names) == 1 else more}"
    return cause


def planned(files: Sequence[Planned], *, notes: Sequence[Note | str] = ()) -> Receipt:
    """Make the receipt of a dry run: what would be sent, and that nothing was."""
    known = sum(file.size_bytes or 0 for file in files)
    more = any(file.size_bytes is None for file in files)
    volume = f"{_render.size(known)}{' or more' if more else ''}"
    line = _render.dotted([f"{counted(len(files), 'file')} would be uploaded", volume, "nothing was sent"])
    width = len(_PLAN) if any(file.tokens is not None for file in files) else len(_PLAN) - 1
    rows = [_planned_row(file)[:width] for file in files[: _render.MAX_SHOWN]]
    table = _render.grid(_PLAN[:width], rows, "Files that would be uploaded") if files else NOTHING
    cut = f"{len(rows)} of {counted(len(files), 'file')}" if len(rows) < len(files) else ""
    below = _render.element("p", cut, cls="nbf-foot") if cut else NOTHING
    return Receipt("plan", line, (*drawn(notes), table, below))


def plan(*, count: int, size: int, notes: Sequence[Note | str] = ()) -> Receipt:
    """Make the receipt of a deletion that is about to happen."""
    return Receipt("plan", _render.element("b", plan_line(count, size)), drawn(notes))


def plan_line(count: int, size: int) -> str:
    """Say what a deletion will take: ``Plan: delete 14 files, 1.21 GB``."""
    return f"Plan: delete {counted(count, 'file')}, {_render.size(size)}" if count else "Nothing to delete"


def plan_notes(
    *,
    going: int,
    dead: Sequence[str] = (),
    others: int = 0,
    staying: int = 0,
    missing: Sequence[str] = (),
    alike: int = 0,
) -> list[Note]:
    """Say what a person should know before files are deleted.

    Parameters
    ----------
    going : int
        Files that will go.
    dead : sequence of str, default ()
        Variables that hold their ids.
    others : int, default 0
        How many of them were not uploaded from here.
    staying : int, default 0
        Files that were asked for too and stay, since they were not uploaded from here.
    missing : sequence of str, default ()
        Variables, or ids, of files that are not there any more.
    alike : int, default 0
        Files that stay because only their name and size are known to be another's.
    """
    notes = list[Note]()
    if going and dead:
        holds = ". This variable will hold a dead id: " if len(dead) == 1 else ". These variables will hold dead ids: "
        notes.append(Note("Cannot be undone" + holds + _some(dead)))
    elif going:
        notes.append(Note("Cannot be undone"))
    if others:
        many = "None of them was" if others == going else f"{others:,} of them {_was(others)} not"
        notes.append(Note("It was not uploaded here" if going == 1 else f"{many} uploaded here", warning=True))
    if staying:
        words = f"{staying:,} more {_was(staying)} not uploaded here and {'stays' if staying == 1 else 'stay'}; "
        notes.append(Note(words + code("--all") + " (" + code("all=True") + ") takes them too"))
    if missing:
        notes.append(Note(_some(missing) + f" {_was(len(missing))} gone already"))
    if alike:
        is_ = "has the name and size of another file and stays" if alike == 1 else (
            "have the name and size of another file and stay"
        )  # fmt: skip
        notes.append(Note(f"{alike:,} more {is_}: whether the bytes are equal, the server does not tell"))
    return notes


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _some(names: Sequence[str]) -> Piece:
    """Show the first of `names`, and how many more there are."""
    more = len(names) - _NAMED
    return codes(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def kept_all() -> Receipt:
    """Make the receipt of a deletion that a person said no to."""
    return Receipt("done", _render.piece("All files are kept"))


def warned(notes: Sequence[Note]) -> Receipt:
    """Make what is shown before anything is sent: what a file cannot be used for, one warning a line."""
    first, *more = notes
    return Receipt("warning", _render.element("bdi", first.words), drawn(more))


def deleted(
    *,
    count: int,
    freed: int,
    gone: int = 0,
    kept: int = 0,
    unclear: int = 0,
    untouched: int = 0,
    dead: Sequence[str] = (),
) -> Receipt:
    """Make the receipt of a deletion.

    Parameters
    ----------
    count : int
        Files that were deleted.
    freed : int
        Their bytes.
    gone : int, default 0
        Files that did not exist any more.
    kept : int, default 0
        Files that could not be deleted.
    unclear : int, default 0
        Files that were asked for when the deletion was stopped, and of which no answer came.
    untouched : int, default 0
        Files whose turn had not come when it was stopped.
    dead : sequence of str, default ()
        Variables that hold ids of files that are no more.
    """
    parts: list[Piece | str] = [f"{count:,} deleted", f"{_render.size(freed)} freed"]
    if gone:
        parts.append(f"{gone:,} {_was(gone)} already gone")
    if kept:
        parts.append(f"{kept:,} could not be deleted")
    if unclear:
        parts.append(f"{unclear:,} asked for, without an answer")
    if untouched:
        parts.append(f"{untouched:,} not touched")
    if dead:
        parts.append(_some(dead) + (" is dead now" if len(dead) == 1 else " are dead now"))
    return Receipt("failed" if kept or unclear or untouched else "done", _render.dotted(parts))


def switched(*, local: bool) -> Receipt:
    """Make the receipt of ``%files use``: where files go from now on, and what that means."""
    if not local:
        return Receipt("done", _render.piece("Files go to Claude from now on"))
    words = _render.dotted([
        "Files stay on this machine from now on",
        "no account is needed",
        "ids work only here",
        _render.piece("back with ") + code("%files use anthropic"),
    ])  # fmt: skip
    return Receipt("done", words)


def sent_as_text(names: Sequence[str]) -> Note:
    """Note that data went as ``text/plain``, which a person may not expect, and what that is good for."""
    what = code(names[0]) if len(names) == 1 else _render.piece(counted(len(names), "file"))
    return Note(what + " sent as " + code("text/plain") + ": usable as " + code("document") + " and in the container")


def renamed(asked: str, stored: str) -> Note:
    """Warn that the server keeps a file under another name than it was sent with."""
    return Note(code(asked) + " is stored as " + code(stored), warning=True)


def sent_anew(name: str, expired_at: datetime, now: datetime) -> Note:
    """Note that an unchanged file was sent again, because the one that was there has expired."""
    when = _render.moment(_render.ago(expired_at, now), expired_at)
    return Note(code(name) + " had been uploaded before and expired " + when + "; it was sent anew")


def ends(names: Sequence[str], first: datetime, now: datetime) -> Note:
    """Warn that the files whose ids `names` hold end soon, the first of them at `first`."""
    when = _render.moment(_render.until(first, now), first)
    if len(names) == 1:
        return Note(codes(names) + " will be dead " + when + ", when its file expires", warning=True)
    return Note(_some(names) + " will be dead within a day, the first " + when + ": their files expire", warning=True)


def expired(names: Sequence[str]) -> Note:
    """Warn that the files whose ids `names` hold have expired."""
    words = " is dead: its file has expired" if len(names) == 1 else " are dead: their files have expired"
    return Note(_some(names) + words, warning=True)


def dead(names: Sequence[str]) -> Note:
    """Warn that no file has the ids that `names` hold."""
    one = len(names) == 1
    words = " holds an id that is not there" if one else " hold ids that are not there"
    return Note(_some(names) + words + ": deleted, or of another place", warning=True)


def error_line(error: BaseException, *, colour: bool = True) -> str:
    """Return `error` as one line for a terminal or a cell's error stream: the cause in bold red, the way out plain.

    Parameters
    ----------
    error : BaseException
        An `nbfiles.Error`, or anything else that has a message.
    colour : bool, default True
        Whether to colour it with ANSI codes. The codes are ours alone: whatever the message holds that would drive a
        terminal, move text or begin a new line is written as ``<U+001B>``.
    """
    whole = visible(str(error)) or type(error).__name__
    way_out = visible(getattr(error, "way_out", "") or "")
    cause = whole.removesuffix(way_out).rstrip() if way_out else whole
    if colour:
        cause = f"{_RED}{cause}{_PLAIN}"
    return f"{cause} {way_out}" if way_out else cause


def drawn(notes: Sequence[Note | str]) -> tuple[Piece, ...]:
    """Draw notes, one piece each."""
    return tuple(_note(note if isinstance(note, Note) else Note(note)) for note in notes)


def _note(note: Note) -> Piece:
    words = _render.element("bdi", note.words)
    if note.warning:
        return _indented(_render.element("p", _render.icon("warning"), words, cls="nbf-side warn"))
    return _indented(_render.element("p", words, cls="nbf-side"))


def _local_note(count: int) -> Piece:
    took = "the file; its id works only here." if count == 1 else "the files; their ids work only here."
    words = _render.element(
        "p",
        _render.icon("local"),
        _render.element("b", "Nothing left this machine."),
        f" The local Files API took {took} ",
        _render.element("span", "To send to Claude: ", code("%files use anthropic"), cls="dim"),
        cls="nbf-note",
    )
    return _indented(words)


def _indented(block: Piece) -> Piece:
    """Set a note off from the line above it where there is no stylesheet: in text."""
    return Piece(f"  {block.text}", block.html)


def _planned_row(file: Planned) -> list[Piece]:
    possible = ", ".join(blocks_for(file.filename, file.mime_type, file.size_bytes or 0))
    return [
        _render.name(file.filename),
        _render.nothing() if file.size_bytes is None else _render.sized(file.size_bytes),
        _render.word(file.mime_type),
        _render.blocks(possible),
        code(file.target) if file.target else _render.nothing(),
        _render.nothing() if file.tokens is None else _render.piece(f"about {file.tokens:,}"),
    ]
