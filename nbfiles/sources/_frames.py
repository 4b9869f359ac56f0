"""pandas frames as files: a DataFrame or Series is one, and a dict of them one workbook with a sheet each.

Which rows, with or without the index, in which format, under which name; the encoders of `_formats` do the rest.
"""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Any

from nbfiles._errors import Error, InputError, LossError
from nbfiles._names import check_filename, filename_for, mime_type_for, visible
from nbfiles._payload import Payload, Payloads, Spool
from nbfiles.sources._columns import Column, columns_of, shown
from nbfiles.sources._formats import FORMATS, Format, check_options, format_for
from nbfiles.sources._loss import check, way_out
from nbfiles.sources._registry import named, type_name
from nbfiles.sources._table import Table

if TYPE_CHECKING:
    import pandas as pd

    from nbfiles.sources._request import Request

SEED = 0  # the same rows every time: the same sample is the same file


def matches(obj: Any) -> bool:
    """Whether `obj` is a DataFrame, a Series or a dict of them; never imports pandas."""
    if isinstance(obj, dict):
        return bool(obj) and all(_is_frame(value) for value in obj.values())
    return _is_frame(obj)


def payloads(obj: pd.DataFrame | pd.Series[Any] | dict[str, Any], request: Request) -> Payloads:
    """Return the one payload of the frame, encoded into a temporary file."""
    try:
        return Payloads([_payload(obj, request)], many=False)
    except LossError as error:
        if not request.label:
            raise
        raise LossError(f"{named(request, '')}: {error.cause}", error.way_out) from None


def _payload(obj: Any, request: Request) -> Payload:
    options = dict(request.opt)
    index = _index_asked(options, request)
    format_ = _workbook_format(request) if isinstance(obj, dict) else format_for(request.format, request.name)
    check_options(format_, options)
    name = check_filename(request.name or filename_for(request.label, format_.endings[0]))
    mime_type_for(name, **request.mime)  # refuses what cannot be before anything is encoded
    if isinstance(obj, dict):
        table, notes = _workbook(obj, options, index, request)
    else:
        table, notes = _table(obj, options, index, request)
    return _spooled(table, format_, name, notes, request)


def _is_frame(obj: Any) -> bool:
    pandas = sys.modules.get("pandas")
    kinds = tuple(getattr(pandas, kind) for kind in ("DataFrame", "Series") if hasattr(pandas, kind))
    return isinstance(obj, kinds)


def _index_asked(options: dict[str, object], request: Request) -> bool | None:
    """Return what was said about the index; ``--opt index=False`` is the same as ``--no-index``."""
    asked = options.pop("index", None)
    if asked is not None and not isinstance(asked, bool):
        raise InputError("index is True or False", "Write --index or --no-index (index= in Python).")
    return request.index if request.index is not None else asked


def _table(obj: Any, options: dict[str, Any], index: bool | None, request: Request) -> tuple[Table, tuple[str, ...]]:  # noqa: FBT001 - three answers, not a flag
    """Return the rows that are asked for, and what there is to note about them."""
    frame = _as_frame(obj, request)
    with_index = not _is_default(frame) if index is None else index
    rows = len(frame)
    frame, notes = _rows(frame, request)
    if not len(frame) and rows:
        raise InputError("no row is left to upload", "Ask for at least one.")
    return Table(frame, with_index, options, request.lossy), notes


def _as_frame(obj: Any, request: Request) -> pd.DataFrame:
    if hasattr(obj, "columns"):
        frame: pd.DataFrame = obj
        return frame
    name = obj.name
    if name is None:
        name = request.label if request.label.isidentifier() else "value"
    made: pd.DataFrame = obj.to_frame(name)
    return made


def _is_default(frame: pd.DataFrame) -> bool:
    """Whether the index is the one that pandas gives by itself: 0, 1, 2, ... without a name."""
    import pandas as pd

    index = frame.index
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None


def _rows(frame: pd.DataFrame, request: Request) -> tuple[pd.DataFrame, tuple[str, ...]]:
    total = len(frame)
    if request.sample is not None and request.sample < total:
        places = sorted(random.Random(SEED).sample(range(total), request.sample))  # noqa: S311 - no secret
        frame = frame.iloc[places]
    if request.max_rows is not None and request.max_rows < len(frame):
        frame = frame.iloc[: request.max_rows]
    if len(frame) == total:
        return frame, ()
    how = "at random" if request.sample is not None and request.sample < total else "the first"
    return frame, (f"{len(frame):,} of {total:,} rows, {how}",)


def _workbook_format(request: Request) -> Format:
    asked = format_for(request.format, request.name) if request.format or request.name else FORMATS["xlsx"]
    if asked.name != "xlsx":
        raise InputError(
            f"a dict of frames is one workbook, and {asked.name} holds one table",
            "Leave --format out, or upload list(x.values()).",
        )
    return asked


def _workbook(
    obj: dict[Any, Any],
    options: dict[str, Any],
    index: bool | None,  # noqa: FBT001 - three answers, not a flag
    request: Request,
) -> tuple[Table, tuple[str, ...]]:
    if "sheet_name" in options:
        raise InputError("sheet_name is for one frame", "The keys of the dict name the sheets.")
    sheets: dict[str, Table] = {}
    notes: list[str] = []
    for key, value in obj.items():
        if not isinstance(key, str):
            raise InputError(f"a sheet's name must be a text, and {shown(key)} is {type_name(key)}", "Use str keys.")
        sheets[key], of_sheet = _table(value, {}, index, request)
        notes += [f"sheet {visible(key)}: {note}" for note in of_sheet]
    first = next(iter(sheets.values()))
    return Table(first.frame, first.index, options, request.lossy, sheets), tuple(notes)


def _spooled(table: Table, format_: Format, name: str, notes: tuple[str, ...], request: Request) -> Payload:
    """Encode `table` once; a text that UTF-8 cannot write is refused by its column, or mended if `lossy`."""
    notes += _checked(table, format_)
    try:
        return _encoded(table, format_, name, notes, request)
    except UnicodeEncodeError:
        label = _mend(table)
        if not request.lossy:
            raise LossError(
                f"{label} holds half of a surrogate pair, which {format_.name} has no form for", way_out(())
            ) from None
        notes += (f"{label} holds half of a surrogate pair (written as ?)",)
        return _encoded(table, format_, name, notes, request)


def _checked(table: Table, format_: Format) -> tuple[str, ...]:
    if table.sheets is None:
        return check(table.frame, format_.name, index=table.index, lossy=table.lossy)
    notes: tuple[str, ...] = ()
    for name, sheet in table.sheets.items():
        where = f"in sheet {shown(name)}"
        notes += check(sheet.frame, format_.name, index=sheet.index, lossy=table.lossy, where=where)
    return notes


def _encoded(table: Table, format_: Format, name: str, notes: tuple[str, ...], request: Request) -> Payload:
    with Spool() as spool:
        try:
            notes += format_.encode(table, spool)
        except (Error, UnicodeError):
            raise
        except Exception as error:  # every library has its own for an option that it does not like
            if not table.options:
                raise
            options = ", ".join(f"{key}={value!r}" for key, value in table.options.items())
            raise InputError(
                f"{format_.name} cannot be written with {visible(options)}: {visible(str(error))}", "Mend the option."
            ) from None
        return spool.payload(name=name, source=named(request, "<DataFrame>"), notes=notes, **request.mime)


def _mend(table: Table) -> str:
    """Write ``?`` for each half of a surrogate pair in `table`; return how the first column that held one is called."""
    found = ""
    for sheet in (table, *(table.sheets or {}).values()):
        frame = sheet.frame.copy(deep=False)
        for number, column in enumerate(columns_of(frame, index=False)):
            if _is_broken(column):
                found = found or column.label
                frame.isetitem(number, column.values.astype(object).map(_whole, na_action="ignore").array)
        names = [_whole(name) for name in frame.columns]
        if names != list(frame.columns):
            found = found or "the name of a column"
            frame.columns = names
        sheet.frame = frame
    return found or "the index"


def _is_broken(column: Column) -> bool:
    return any(_whole(text) != text for text in column.texts())


def _whole(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
