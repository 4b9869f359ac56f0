"""HTML, Markdown and text: every digit and every letter is there, and the layout cannot be broken by a value."""

import re

import html5lib
import numpy as np
import pandas as pd
import pytest

from nbfiles import sources
from nbfiles._errors import InputError, LossError
from nbfiles.sources import Request, _table

FRAME = pd.DataFrame(
    {
        "float": [0.1234567890123, 1 / 3, np.nan],
        "big": [2**60, 1, -1],
        "text": ["<b>&amp;", "x" * 300, "a|b"],
        "digits": ["007", "1e5", "a\\|b"],
        "when": pd.to_datetime(["2020-01-01", "2020-01-02 03:04:05.678901", None], format="ISO8601"),
        "list": [list(range(200)), {"k": 1}, None],
    }
)


def expected(frame=FRAME):
    """Return the cells as full texts."""
    return [
        ["" if gone else str(value) for value, gone in zip(row, missing, strict=True)]
        for row, missing in zip(frame.astype(object).to_numpy(), frame.isna().to_numpy(), strict=True)
    ]


def html_cells(content):
    """Return the texts of the table's cells, as a browser's parser reads them."""
    tree = html5lib.parse(content.decode(), namespaceHTMLElements=False)
    return [["".join(cell.itertext()) for cell in row if cell.tag in {"td", "th"}] for row in tree.iter("tr")]


def md_cells(content):
    """Return the texts of a Markdown table's cells by the rule of GFM 4.10."""
    rows = []
    for line in content.decode().splitlines():
        cells = re.split(r"(?<!\\)(?:\\\\)*\|", line.strip())[1:-1]
        rows.append([re.sub(r"(\\*)\\\|", lambda found: found[1][::2] + "|", cell.strip()) for cell in cells])
    return [rows[0], *rows[2:]]


def test_html(send):
    """An HTML table holds every value in full, and markup only as text."""
    assert [list(FRAME), *expected()] == html_cells(send(FRAME, format="html").content)


def test_md(send):
    """A Markdown table holds every value in full; pipes do not break it."""
    assert [list(FRAME), *expected()] == md_cells(send(FRAME, format="md").content)


def test_txt(send):
    """A text table has a row a line, aligned, with every value in full."""
    frame = FRAME.drop(columns=["list", "when"])
    lines = send(frame, format="txt").content.decode().splitlines()
    assert [list(frame), *expected(frame)] == [line.split() for line in lines[:3]] + [["", *lines[3].split()]]
    assert 1 == len({len(line) for line in lines})


@pytest.mark.parametrize("format_", ["html", "md", "txt"])
def test_display_options_do_not_matter(send, format_):
    """The user's display settings change nothing in the file."""
    plain = send(FRAME, format=format_).content
    with pd.option_context(
        "display.max_colwidth", 5, "display.precision", 1, "display.max_rows", 2, "display.max_columns", 2,
        "display.width", 20, "display.max_seq_items", 1, "display.float_format", "{:.1f}".format,
    ):  # fmt: skip
        assert plain == send(FRAME, format=format_).content


@pytest.mark.parametrize(("format_", "cells"), [("html", html_cells), ("md", md_cells)])
def test_index(send, format_, cells):
    """An index is the first columns, in every row."""
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("x", 2)], names=["i", "j"]))
    assert [["i", "j", "a"], ["x", "1", "1"], ["x", "2", "2"]] == cells(send(frame, format=format_).content)


def test_html_levels(send):
    """Column names of several levels are several header rows."""
    frame = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
    assert [["a"], ["x", "y"], ["1", "2"]] == html_cells(send(frame, format="html").content)


@pytest.mark.parametrize(
    ("format_", "value", "words"),
    [
        ("md", "a\nb", "line breaks"),
        ("txt", "a\rb", "line breaks"),
        ("html", "a\rb", "carriage returns"),
        ("html", b"a", "bytes"),
        ("md", b"a", "bytes"),
        ("txt", b"a", "bytes"),
    ],
)
def test_loss(send, format_, value, words):
    """A value that would break the layout or be merged with another is refused by its column."""
    frame = pd.DataFrame({"a": [value]})
    with pytest.raises(LossError, match=f"column a holds {words}"):
        sources.payloads(frame, Request(format=format_))
    assert any(words in note for note in send(frame, format=format_, lossy=True).notes)


@pytest.mark.parametrize("format_", ["md", "txt"])
def test_note_on_spaces(send, format_):
    """Spaces at the ends of texts, which the layout hides, are in the receipt."""
    notes = send(pd.DataFrame({"a": [" x"]}), format=format_).notes
    assert ("column a: texts with spaces at an end are written without those spaces",) == notes


@pytest.mark.parametrize(("format_", "text"), [("html", "<th>a</th>"), ("md", "| a"), ("txt", "a")])
def test_no_rows(send, format_, text):
    """A frame without rows is its header."""
    assert text in send(pd.DataFrame({"a": [], "b": []}), format=format_).content.decode()


def test_options(send):
    """The options of the layout reach it."""
    frame = pd.DataFrame({"a": [None, "x"]})
    assert b"NULL" in send(frame, format="txt", opt=(("na_rep", "NULL"),)).content
    assert b'class="dataframe wide"' in send(frame, format="html", opt=(("classes", "wide"),)).content
    assert b"+===" in send(frame, format="md", opt=(("tablefmt", "grid"),)).content


def test_missing_package(monkeypatch):
    """Without tabulate there is one line that says how to get it."""
    monkeypatch.setattr(_table.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(InputError, match=r"md needs the package tabulate.*%pip install tabulate"):
        sources.payloads(FRAME, Request(format="md"))


def test_spaces_behind_what_html_cannot_name(send):
    """A space before a control character at an end, which HTML cannot name, is kept."""
    assert b">0&#12;<" in send(pd.DataFrame({"a": ["0\x0c\x85"]}), format="html").content
