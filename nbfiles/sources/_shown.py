"""HTML, Markdown and plain text: tables for reading, with every digit and nothing cut.

pandas' own printers round floats to six digits, cut long texts and follow the user's display options; so each cell
becomes its full text first, and the printers only lay it out.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from nbfiles.sources._loss import header
from nbfiles.sources._table import need

if TYPE_CHECKING:
    import pandas as pd

    from nbfiles._payload import Spool
    from nbfiles.sources._table import Table

_SPACE = re.compile("^[ \t\n\f\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|(?<= ) |"
                    "[ \t\n\f\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$")  # fmt: skip
_FORMLESS = "\x0b\x1c\x1d\x1e\x1f\x85"  # which pandas drops at the ends of a text, and HTML cannot name
HTML_OPTIONS = frozenset({"na_rep", "classes", "border", "justify", "table_id"})
MD_OPTIONS = frozenset({"na_rep", "tablefmt", "stralign"})
TXT_OPTIONS = frozenset({"na_rep", "justify", "col_space"})


def write_html(table: Table, spool: Spool) -> tuple[str, ...]:
    """Write `table` as an HTML table, everything escaped."""
    frame, options = _printed(table)
    import pandas as pd

    frame.columns = frame.columns.map(_marked_up) if len(frame.columns) else frame.columns
    formatters: list[Any] = [_marked_up] * len(frame.columns)
    with pd.option_context("display.max_colwidth", None):
        text = frame.to_html(index=False, escape=False, formatters=formatters, **{"border": 0, **options})
    spool.write(f'<!DOCTYPE html>\n<meta charset="utf-8">\n{text}\n'.encode())
    return ()


def write_md(table: Table, spool: Spool) -> tuple[str, ...]:
    """Write `table` as a Markdown table."""
    tabulate = need("tabulate", "md").tabulate
    frame, options = _printed(table)
    rows = [[_in_pipes(cell) for cell in row] for row in frame.itertuples(index=False, name=None)]
    names = [_in_pipes(header(name)) for name in frame.columns]
    # Without disable_numparse, tabulate writes the text 007 as 7.
    text = tabulate(rows, headers=names, disable_numparse=True, **{"tablefmt": "pipe", **options})
    spool.write(f"{text}\n".encode())
    return ()


def write_txt(table: Table, spool: Spool) -> tuple[str, ...]:
    """Write `table` as aligned columns, a row a line."""
    frame, options = _printed(table)
    import pandas as pd

    # As aliases names stay as they are; a tab in a name of its own would become a backslash and a t.
    names = list(frame.columns) if frame.columns.nlevels == 1 else True
    options = {"justify": "right", "header": names, **options}
    with pd.option_context("display.max_colwidth", None):
        text = frame.to_string(index=False, formatters=[str] * len(frame.columns), **options)
    if not len(frame):  # to_string says "Empty DataFrame" in its own words
        text = "  ".join(frame.columns)
    spool.write(f"{text}\n".encode())
    return ()


def _printed(table: Table) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return `table` as a frame of texts, the index as its first columns, and the options for the layout."""
    import pandas as pd

    options = dict(table.options)
    missing = str(options.pop("na_rep", ""))
    columns = [_cells(table.frame.iloc[:, number], missing) for number in range(len(table.frame.columns))]
    names = list(table.frame.columns)
    if table.index:
        levels = [table.frame.index.get_level_values(number) for number in range(table.frame.index.nlevels)]
        columns = [_cells(pd.Series(level), missing) for level in levels] + columns
        names = [header(name) for name in table.frame.index.names] + names
    frame = pd.DataFrame(dict(enumerate(columns)), dtype=object)
    if not table.index and isinstance(table.frame.columns, pd.MultiIndex):
        frame.columns = table.frame.columns
    else:
        frame.columns = pd.Index([header(name) for name in names], dtype=object)
    return frame, options


def _cells(values: pd.Series[Any], missing: str) -> list[str]:
    """Return every value as its full text; a float with all digits that it needs to come back."""
    gone = values.isna()
    return [missing if none else str(value) for value, none in zip(values.tolist(), gone, strict=True)]


def _marked_up(value: Any) -> Any:
    """Escape a text for HTML, spaces at its ends and doubled ones too, which pandas would drop or change."""
    if isinstance(value, tuple):  # a name of several levels
        return tuple(map(_marked_up, value))
    text = html.escape(str(value).strip(_FORMLESS), quote=False)
    return _SPACE.sub(lambda found: "".join(f"&#{ord(char)};" for char in found[0]), text)


def _in_pipes(text: str) -> str:
    r"""Escape what would end a cell: ``|`` as ``\|``, and backslashes right before one (GFM, section 4.10)."""
    return re.sub(r"(\\*)\|", lambda found: found[1] * 2 + r"\|", text)
