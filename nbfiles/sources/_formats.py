"""The formats a frame can be written in: one small table, format -> endings, options, encoder.

An encoder takes a `Table` and writes it into a `Spool` once; it returns what it has to note. A faster one for a format
takes the old one's place in this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbfiles._errors import InputError
from nbfiles._names import TYPES, ending_of, visible
from nbfiles.sources import _arrow, _csv, _excel, _json, _shown
from nbfiles.sources._table import Table

if TYPE_CHECKING:
    from nbfiles._payload import Spool

Encoder = Callable[[Table, "Spool"], tuple[str, ...]]


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
        Writes a `Table` into a `Spool`, and returns notes.
    """

    name: str
    endings: tuple[str, ...]
    options: frozenset[str]
    encode: Encoder


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format("csv", (".csv",), _csv.OPTIONS, _csv.write_csv),
        Format("tsv", (".tsv",), _csv.OPTIONS, _csv.write_tsv),
        Format("json", (".json",), _json.OPTIONS, _json.write_json),
        Format("jsonl", (".jsonl", ".ndjson"), _json.LINES_OPTIONS, _json.write_jsonl),
        Format("parquet", (".parquet",), _arrow.PARQUET_OPTIONS, _arrow.write_parquet),
        Format("feather", (".feather", ".arrow"), _arrow.FEATHER_OPTIONS, _arrow.write_feather),
        Format("xlsx", (".xlsx",), _excel.OPTIONS, _excel.write_xlsx),
        Format("html", (".html", ".htm"), _shown.HTML_OPTIONS, _shown.write_html),
        Format("md", (".md", ".markdown"), _shown.MD_OPTIONS, _shown.write_md),
        Format("txt", (".txt", ".text"), _shown.TXT_OPTIONS, _shown.write_txt),
    )
}
_BY_ENDING = {ending: each for each in FORMATS.values() for ending in each.endings}


def format_for(asked: str | None, name: str | None) -> Format:
    """Return the format that `asked` names, else the one that the ending of `name` means, else csv.

    Raises
    ------
    InputError
        If there is no such format, the ending belongs to another kind of file, or the two contradict each other.
    """
    ending = ending_of(name or "")
    by_ending = _BY_ENDING.get(ending)
    if asked is None:
        if by_ending is None and ending in TYPES:
            raise InputError(
                f"a frame cannot be written as {visible(name or '')}", f"It can be {', '.join(FORMATS)}: --format csv."
            )
        return by_ending or FORMATS["csv"]
    if asked not in FORMATS:
        raise InputError(f"there is no format {visible(asked)} for a frame", f"It is one of {', '.join(FORMATS)}.")
    if ending in TYPES and by_ending is not FORMATS[asked]:
        raise InputError(
            f"{visible(name or '')} would be the wrong name for {asked}",
            f"End it in {FORMATS[asked].endings[0]}, or leave --format out.",
        )
    return FORMATS[asked]


def check_options(format_: Format, options: dict[str, object]) -> None:
    """Raise InputError for the first of `options` that `format_` does not have."""
    for key in options:
        if key not in format_.options:
            raise InputError(
                f"{format_.name} has no option {visible(key)}", f"It has: {', '.join(sorted(format_.options))}."
            )
