"""The table: rows about files as a DataFrame with real dtypes, shown safely.

``FileTable`` is a ``pandas.DataFrame`` whose only additions are how it is shown. Whatever is derived from it (a filter,
a sort, a copy) is an ordinary frame, and so are its columns.

Text columns have the dtype ``object`` and hold plain ``str``. It is the one text dtype that pandas 2.2 and 3 share:
``str`` means ``object`` in the first and an Arrow array in the second, which refuses the half of a surrogate pair that
a server's JSON may hold. What is not known is ``""`` in a text column, and ``NA`` or ``NaT`` elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from nbfiles import _render
from nbfiles._render import Column, Piece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nbfiles._models import FileMetadata

COLUMNS = (
    "id", "filename", "mime_type", "size_bytes", "created_at", "type", "downloadable", "expires_at",
    "variable", "block", "status", "origin", "source", "digest", "error",
)  # fmt: skip
UPLOADED = ("variable", "filename", "size_bytes", "mime_type", "block", "id", "status")
LISTED = ("variable", "filename", "size_bytes", "block", "created_at", "expires_at", "origin", "id")

_OURS = ("variable", "status", "origin", "source", "digest", "error")
_GONE = frozenset({"deleted", "expired", "gone"})
# Where something failed, why is worth more room than what the files are.
_GIVES_WAY = frozenset({"mime_type", "block"})
_SOON = timedelta(hours=24)
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_NEVER = np.iinfo("int64").min  # how NumPy writes NaT


@dataclass(slots=True, kw_only=True)  # not frozen: there may be 50,000, and to make those takes three times as long
class Row:
    """One file of a table: what the server said about it, and what is known here.

    Parameters
    ----------
    metadata : FileMetadata or None
        None for a file that did not arrive.
    filename, mime_type : str
        As stored, or as they would have been.
    size_bytes : int or None
        Bytes; None where it is not known.
    variable : str, default ""
        What holds the id: ``"report_id"``, ``"csv_ids[0]"``.
    status : str, default ""
        ``"uploaded"``, ``"reused"``, ``"failed"`` and so on.
    origin : {"", "here", "elsewhere", "code execution"}, default ""
        Where the file was uploaded from.
    source : str, default ""
        What it was made from.
    digest : str, default ""
        Its hash, with the algorithm's name: ``"blake3:..."``.
    error : str, default ""
        Why it failed.
    id : str, default ""
        The id of a file of which nothing else is known; that of a file with metadata stands there.
    """

    metadata: FileMetadata | None
    filename: str
    mime_type: str
    size_bytes: int | None
    variable: str = ""
    status: str = ""
    origin: str = ""
    source: str = ""
    digest: str = ""
    error: str = ""
    id: str = ""

    @classmethod
    def of(cls, metadata: FileMetadata, **ours: str) -> Self:
        """Return the row of a file that exists; `ours` are the fields from `variable` on."""
        return cls(
            metadata=metadata,
            filename=metadata.filename,
            mime_type=metadata.mime_type,
            size_bytes=metadata.size_bytes,
            **ours,
        )


@dataclass(frozen=True, slots=True)
class _Look:
    """How a table is shown; its data know nothing of it."""

    headline: str = ""
    shown: tuple[str, ...] = UPLOADED
    local: bool = False
    notes: tuple[Piece, ...] = ()


class FileTable(pd.DataFrame):
    """A DataFrame of files, shown with safe names and readable figures.

    Made by `file_table`. Columns, always all of them: ``id``, ``filename``, ``mime_type``, ``size_bytes`` (Int64),
    ``created_at`` (datetime64[us, UTC]), ``type``, ``downloadable`` (boolean), ``expires_at`` (datetime64[us, UTC]),
    then ``variable``, ``block``, ``status``, ``origin``, ``source``, ``digest``, ``error``.
    """

    _metadata = ["_look"]  # noqa: RUF012  # pandas' own name for attributes that are pickled with a frame
    _look = _Look()

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        """Make what is derived from a table an ordinary frame."""
        return pd.DataFrame

    def __repr__(self) -> str:
        return _drawn(self, self._look, _render.present()).text

    def _repr_html_(self) -> str:
        return _drawn(self, self._look, _render.present()).html


def file_table(
    rows: Iterable[Row],
    *,
    headline: str = "",
    shown: tuple[str, ...] = UPLOADED,
    local: bool = False,
    notes: Sequence[Piece] = (),
) -> FileTable:
    """Make the table of `rows`.

    Parameters
    ----------
    rows : iterable of Row
        In the order in which they are to stand.
    headline : str, default ""
        One line above the table; its parts are separated by ``" · "`` and the first is the strongest.
    shown : tuple of str, default UPLOADED
        The columns to show, of `COLUMNS`. The frame holds all of them. ``error`` is added when a row has one.
    local : bool, default False
        Whether the files are in the local Files API; the table says so.
    notes : sequence of Piece, default ()
        What to know, between the headline and the table.

    Returns
    -------
    FileTable
        With the same columns and dtypes for no rows as for many.
    """
    given = list(rows)
    table = FileTable(_columns(given), columns=list(COLUMNS), copy=False)
    table._look = _Look(headline, shown, local, tuple(notes))  # noqa: SLF001  # no constructor of its own: pandas calls it too
    return table


# ---- the data --------------------------------------------------------------------------------------------------------


def _columns(rows: Sequence[Row]) -> dict[str, Any]:
    """Turn `rows` into one array a column, which is what pandas is quick at."""
    files = [row.metadata for row in rows]
    text = {
        "id": [file.id if file else row.id for file, row in zip(files, rows, strict=True)],
        "filename": [row.filename for row in rows],
        "mime_type": [row.mime_type for row in rows],
        "type": [file.type if file else "" for file in files],
        "block": [", ".join(file.blocks) if file else "" for file in files],
        **{name: [getattr(row, name) for row in rows] for name in _OURS},
    }
    return {
        **{name: pd.Series(values, dtype=object) for name, values in text.items()},
        "size_bytes": pd.array([row.size_bytes for row in rows], dtype="Int64"),
        "downloadable": pd.array([file.downloadable if file else None for file in files], dtype="boolean"),
        "created_at": _times([file.created_at if file else None for file in files]),
        "expires_at": _times([file.expires_at if file else None for file in files]),
    }


def _times(values: Sequence[datetime | None]) -> pd.DatetimeIndex:
    """Return UTC times of microseconds; pandas 2.2 and 3 would infer different units, and 2.2 would take its time."""
    counts = [_NEVER if value is None else (value - _EPOCH) // _MICROSECOND for value in values]
    return pd.DatetimeIndex(np.array(counts, dtype="int64").view("datetime64[us]")).tz_localize("UTC")


# ---- how it looks ----------------------------------------------------------------------------------------------------


def _drawn(table: pd.DataFrame, look: _Look, now: datetime) -> Piece:
    """Draw `table` as text and HTML, as of `now`.

    The frame may have been changed in place since it was made: columns may be gone, renamed or hold anything.
    """
    names = [str(name) for name in table.columns]
    places = {name: names.index(name) for name in names}
    failed = _positions_with_error(table, places)
    wanted = (*(name for name in look.shown if name not in _GIVES_WAY), "error") if failed else look.shown
    shown = list(dict.fromkeys(name for name in wanted if name in places)) or names[:8]
    picked = _picked(len(table), failed)
    part = table.iloc[picked]
    values = {name: part.iloc[:, at].tolist() for name, at in places.items()}
    records = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    columns = [_COLUMNS.get(name, Column(name)) for name in shown]
    rows = [[_cell(name, record, now) for name in shown] for record in records]
    label = "Files on this machine" if look.local else "Files"
    hidden = [name for name in places if name not in shown]
    return _render.output(
        _headline(look.headline),
        *look.notes,
        _render.grid(columns, rows, label),
        _footer(len(table), len(picked), hidden, local=look.local, failed=len(failed)),
    )


def _positions_with_error(table: pd.DataFrame, places: Mapping[str, int]) -> list[int]:
    if "error" not in places:
        return []
    errors = table.iloc[:, places["error"]].tolist()
    return [at for at, error in enumerate(errors) if not _missing(error)]


def _picked(count: int, failed: Sequence[int]) -> list[int]:
    """Choose the rows to show, in their order: the first, and among them every one that failed."""
    if count <= _render.MAX_SHOWN:
        return list(range(count))
    first = failed[: _render.MAX_SHOWN]
    others = [at for at in range(_render.MAX_SHOWN + len(first)) if at < count and at not in first]
    return sorted([*first, *others[: _render.MAX_SHOWN - len(first)]])


def _headline(words: str) -> Piece:
    if not words:
        return _render.NOTHING
    first, *rest = words.replace(f"{_render.NO_BREAK}·", " ·").split(" · ")
    return _render.element("p", _render.dotted([_render.element("b", first), *rest]), cls="nbf-head")


def _footer(count: int, shown: int, hidden: Sequence[str], *, local: bool, failed: int) -> Piece:
    rows = _render.counted(count, "row")
    if count == 0:
        said = "No rows."
    elif shown == count:
        said = f"{rows}, on this machine only." if local else f"{rows}."
    else:
        among = ", those that failed among them" if failed else ""
        among = f", the first of {failed:,} that failed" if failed > shown else among
        place = ", on this machine only" if local else ""
        said = f"{shown} of {rows}{among}{place}. The frame holds all of them."
    if hidden:
        said += f" Also in the frame: {', '.join(hidden)}"
    return _render.element("p", said, cls="nbf-foot")


_COLUMNS = {
    "filename": Column("filename", "name"),
    "mime_type": Column("mime_type", "mime"),
    "size_bytes": Column("size_bytes", figures=True),
    "id": Column("id", "id"),
    "origin": Column("origin", "dim"),
    "error": Column("error", "error"),
}


def _cell(column: str, record: Mapping[str, Any], now: datetime) -> Piece:
    """Draw the cell of `column` in the row `record`."""
    value = record[column]
    if _missing(value):
        return _render.nothing()
    if column in {"created_at", "expires_at"} and isinstance(value, datetime) and value.tzinfo is not None:
        return _time(column, value, now)
    if column == "size_bytes" and isinstance(value, int | float) and value == int(value) >= 0:
        return _render.sized(int(value))
    draw = _DRAWN.get(column)
    return draw(str(value), record, now) if draw else _render.piece(str(value))


def _missing(value: Any) -> bool:
    """Whether a cell holds nothing. Only a scalar is asked: of a list pandas answers with an array."""
    if isinstance(value, str):
        return value == ""
    return bool(pd.api.types.is_scalar(value)) and bool(pd.isna(value))


def _time(column: str, when: datetime, now: datetime) -> Piece:
    if column == "created_at":
        return _render.moment(_render.ago(when, now), when)
    shown = _render.moment(_render.until(when, now), when)
    left = when - now
    cls = "dim" if left <= timedelta() else "warn" if left < _SOON else ""
    return _render.element("span", shown, cls=cls)


def _variable(value: str, record: Mapping[str, Any], now: datetime) -> Piece:
    """Strike through the name of a variable whose file is no more."""
    ends = record.get("expires_at")
    over = isinstance(ends, datetime) and not _missing(ends) and ends.tzinfo is not None and ends <= now
    shown = _render.code(value)
    return _render.element("s", shown) if over or str(record.get("status")) in _GONE else shown


def _status(value: str, record: Mapping[str, Any], now: datetime) -> Piece:  # noqa: ARG001  # as all of them
    tone = "bad" if value == "failed" else "" if value == "uploaded" else "dim"
    return _render.element("span", value, cls=tone)


_DRAWN: dict[str, Callable[[str, Mapping[str, Any], datetime], Piece]] = {
    "variable": _variable,
    "filename": lambda value, record, now: _render.name(value),  # noqa: ARG005  # likewise
    "mime_type": lambda value, record, now: _render.word(value),  # noqa: ARG005  # likewise
    "id": lambda value, record, now: _render.ident(value),  # noqa: ARG005  # likewise
    "block": lambda value, record, now: _render.blocks(value),  # noqa: ARG005  # likewise
    "status": _status,
}
