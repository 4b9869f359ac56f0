"""A styled frame (pandas' ``Styler``) as it looks: HTML as the notebook shows it, or a workbook with its colours.

HTML holds what is shown, numbers rounded as the style says; the workbook holds the values.
"""

from __future__ import annotations

import sys
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from nbfiles._errors import InputError
from nbfiles._payload import Payloads
from nbfiles.sources._excel import mend
from nbfiles.sources._format import Family, Format, Thing
from nbfiles.sources._loss import check
from nbfiles.sources._registry import naming
from nbfiles.sources._table import need

if TYPE_CHECKING:
    from nbfiles._payload import Spool
    from nbfiles.sources._request import Request


def matches(obj: Any) -> bool:
    """Whether `obj` is a Styler; never imports pandas."""
    style = sys.modules.get("pandas.io.formats.style")
    return style is not None and isinstance(obj, style.Styler)


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the one payload of the styled frame."""
    if request.sample is not None or request.max_rows is not None:
        raise InputError("a style belongs to the rows that it was made for", "Style a part: df.head(100).style.")
    styler = deepcopy(obj)  # to hide the index would hide the user's
    if request.index is False:
        styler.hide(axis="index")
    with naming(request):
        return Payloads([_FAMILY.payload(styler, request)], many=False)


def _write_html(job: Thing, spool: Spool) -> tuple[str, ...]:
    # A fixed id: pandas makes up another one every time, and the same table would be another file.
    text = job.value.to_html(table_uuid="table", doctype_html=True, **job.options)
    spool.write(text.encode())
    return ()


def _write_xlsx(job: Thing, spool: Spool) -> tuple[str, ...]:
    need("openpyxl", "xlsx")
    import pandas as pd

    index = not all(job.value.hide_index_)
    notes = check(job.value.data, "xlsx", index=index, lossy=job.lossy)
    with spool.path.open("wb") as file, pd.ExcelWriter(file, engine="openpyxl") as writer:
        job.value.to_excel(writer, index=index, merge_cells=False, **job.options)
        mend(writer.book)
    spool.adopt()
    return notes


_FAMILY = Family(
    "a styled frame",
    Format(
        "html",
        (".html", ".htm"),
        frozenset({"table_attributes", "sparse_index", "sparse_columns", "bold_headers", "caption"}),
        _write_html,
    ),
    Format("xlsx", (".xlsx",), frozenset({"sheet_name", "na_rep", "header", "float_format"}), _write_xlsx),
)
