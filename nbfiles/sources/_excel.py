"""Excel workbooks, by openpyxl: one sheet a frame, texts as texts and numbers with all their digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbfiles._errors import InputError
from nbfiles._names import visible
from nbfiles.sources import _loss
from nbfiles.sources._columns import columns_of
from nbfiles.sources._loss import header
from nbfiles.sources._table import Table, need

if TYPE_CHECKING:
    import pandas as pd

    from nbfiles._payload import Spool

OPTIONS = frozenset({"sheet_name", "na_rep", "header", "index_label", "float_format", "freeze_panes"})

_FORBIDDEN = frozenset("[]:*?/\\")
MAX_SHEET_NAME = 31


def write_xlsx(table: Table, spool: Spool) -> tuple[str, ...]:
    """Write `table`, or each of its sheets, into one workbook."""
    need("openpyxl", "xlsx")
    import pandas as pd

    options = dict(table.options)
    sheets = table.sheets or {str(options.pop("sheet_name", "Sheet1")): table}
    for number, name in enumerate(sheets):
        _check_sheet_name(name, [*sheets][:number])
    with spool.path.open("wb") as file, pd.ExcelWriter(file, engine="openpyxl") as writer:
        for name, sheet in sheets.items():
            frame, index = _shaped(_held(sheet) if sheet.lossy else sheet.frame, index=sheet.index)
            frame.to_excel(writer, sheet_name=name, index=index, merge_cells=False, **options)
        mend(writer.book)
    spool.adopt()
    return ()


def _check_sheet_name(name: str, before: list[str]) -> None:
    """Raise InputError if Excel would refuse the sheet `name`, or cannot tell it from one `before` it."""
    shown = visible(name)
    if not 0 < len(name) <= MAX_SHEET_NAME or name[0] == "'" or name[-1] == "'" or _FORBIDDEN & set(name):
        raise InputError(
            f"a sheet cannot be called {shown or 'nothing'}",
            f"Excel takes 1 to {MAX_SHEET_NAME} characters without [ ] : * ? / \\ and no ' at an end.",
        )
    if name.casefold() in {other.casefold() for other in before}:
        raise InputError(f"two sheets are called {shown}", "Excel makes no difference between A and a.")


def _shaped(frame: pd.DataFrame, *, index: bool) -> tuple[pd.DataFrame, bool]:
    """Return `frame` where pandas would write an index oddly: a blank row above it, or periods as their first day."""
    import pandas as pd

    if index and isinstance(frame.index, pd.PeriodIndex):
        frame = frame.set_axis(frame.index.astype(str))
    if index and not len(frame.columns) and all(name is not None for name in frame.index.names):
        return frame.index.to_frame(index=False), False
    return frame, index


def mend(book: Any) -> None:
    """Make every cell what it is, where openpyxl would change it.

    A text that looks like a formula or an error is a text; and a number gets all the digits that it needs, of which
    openpyxl writes 16 (Excel keeps doubles, and 0.1 + 0.2 is not 0.3).
    """
    for sheet in book:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.data_type in {"f", "e"}:
                    cell.data_type = "s"
                elif isinstance(cell.value, float) and float(f"{cell.value:.16g}") != cell.value:
                    cell._value = repr(float(cell.value))  # noqa: SLF001  to set .value would make it a text


def _held(table: Table) -> pd.DataFrame:
    """Return what a sheet can hold of a frame that loses something: columns with loss as text, cut where it ends."""
    import pandas as pd

    frame = table.frame.iloc[: _loss.EXCEL_ROWS - 1, : _loss.EXCEL_COLUMNS - (table.frame.index.nlevels)]
    frame = frame.copy(deep=False)
    for number, column in enumerate(columns_of(frame, index=False)):
        if any(rule.asks(column) for rule in _loss.REFUSED["xlsx"]):
            frame.isetitem(number, column.values.astype(object).map(_cell, na_action="ignore").array)
    frame.columns = pd.Index([_cell(header(name)) for name in frame.columns], dtype=object)
    return frame


def _cell(value: object) -> str:
    return _loss.without_controls(str(value))[: _loss.EXCEL_TEXT]
