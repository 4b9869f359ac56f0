"""Random frames through TSV, HTML, Markdown, text, Feather and Excel, as test_frames_random has the other formats."""

import csv
import datetime as dt
import decimal
import html
import io
import os
import re

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from test_frames_random import cells_of, check_table, frames, is_missing, same_text, with_index, written

from nbfiles.sources import _table

FULL = os.environ.get("NBFILES_TRIALS") == "full"


def trials(full):
    return settings(
        max_examples=full if FULL else full // 10,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def as_it_is(text):
    return text


def without_controls(text):
    """A text as HTML has it: some control characters at its ends have no form there."""
    return text.strip("\x0b\x1c\x1d\x1e\x1f\x85")


def check_rows(frame, head, rows, form=as_it_is):
    """See that a text format has every name and every cell, in the form that the format gives to texts."""
    whole = with_index(frame)
    names = [str(name) for name in whole.columns]
    assert list(map(form, names)) == head
    assert len(whole) == len(rows)
    for values, texts in zip(cells_of(whole), rows, strict=True):
        assert len(values) == len(texts)
        for value, text in zip(values, texts, strict=True):
            wanted = form(value) if isinstance(value, str) else value
            assert same_text(wanted, text), (value, text)


@trials(3000)
@given(frames())
def test_tsv(frame):
    """TSV read by a strict reader has every cell."""
    content = written(frame, "tsv", _table.CELLS)
    if content is not None:
        head, *rows = csv.reader(io.StringIO(content.decode(), newline=""), delimiter="\t", strict=True)
        check_rows(frame, head, [row or [""] for row in rows])


@trials(3000)
@given(frames())
def test_html(frame):
    """HTML has every cell, everything escaped, and no markup of the frame's own."""
    content = written(frame, "html", _table.CELLS)
    if content is None:
        return
    text = content.decode()
    assert {"!DOCTYPE", "meta", "table", "thead", "tbody", "tr", "th", "td"} >= set(re.findall(r"<([!\w]+)", text))
    head, *rows = [
        [html.unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", text, re.DOTALL)
    ]
    check_rows(frame, head, rows, form=without_controls)


@trials(3000)
@given(frames())
def test_md(frame):
    """Markdown has every cell between its pipes but for the spaces at its ends, a row a line."""
    content = written(frame, "md", _table.CELLS)
    if content is None:
        return
    head, _, *rows = [
        [re.sub(r"(\\*)\\\|", lambda found: "\\" * (len(found[1]) // 2) + "|", cell).strip() for cell in split(line)]
        for line in content.decode().removesuffix("\n").split("\n")
    ]
    check_rows(frame, head, rows, form=str.strip)


def split(line):
    """Return the cells of a line of Markdown: a pipe after an odd number of backslashes is none."""
    cells, cell, slashes = [], "", 0
    for char in line:
        if char == "|" and slashes % 2 == 0:
            cells.append(cell)
            cell = ""
        else:
            cell += char
        slashes = slashes + 1 if char == "\\" else 0
    assert "" == cell.strip()
    return cells[1:]


@trials(3000)
@given(frames())
def test_txt(frame):
    """Text has a line for the names and for each row, with every cell in its place from left to right."""
    content = written(frame, "txt", _table.CELLS)
    if content is None:
        return
    head, *lines = content.decode().removesuffix("\n").split("\n")
    whole = with_index(frame)
    assert len(whole) == len(lines)
    for line, cells in zip(
        [head, *lines], [[str(name).strip() for name in whole.columns], *printed(whole)], strict=True
    ):
        place = 0
        for cell in cells:
            place = line.index(cell, place) + len(cell)


def printed(frame):
    """Return every row as the texts that its values print as."""
    columns = [
        ["" if gone else str(value) for value, gone in zip(column.tolist(), column.isna(), strict=True)]
        for column in (frame.iloc[:, number] for number in range(len(frame.columns)))
    ]
    return [[cell.strip() for cell in row] for row in zip(*columns, strict=True)]


@trials(1000)
@given(frames())
def test_feather(frame):
    """Feather read by pandas has every value, the index and, where it has one, the dtype."""
    content = written(frame, "feather", _table.CELLS)
    if content is None:
        return
    check_table(frame, pd.read_feather(io.BytesIO(content)))


def same_cell(value, cell):
    """Whether a cell of a workbook is `value`, as far as Excel has types."""
    if is_missing(value) or value == "":
        return cell in {None, ""}
    if isinstance(value, bool | np.bool_):
        return cell is bool(value)
    if isinstance(value, pd.Timestamp | dt.datetime):
        return pd.Timestamp(cell) == pd.Timestamp(value)
    if isinstance(value, dt.date):
        return pd.Timestamp(cell).date() == value
    if isinstance(value, int | float | np.number | decimal.Decimal):
        return not isinstance(cell, bool | str) and float(cell) == float(value)
    return cell == str(value)


@trials(1000)
@given(frames())
def test_xlsx(frame):
    """A workbook read by openpyxl has every value, texts as texts and numbers as numbers."""
    content = written(frame, "xlsx", _table.CELLS)
    if content is None:
        return
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    whole = with_index(frame)
    head, *rows = sheet.iter_rows(values_only=True) if sheet.dimensions != "A1:A1" or sheet["A1"].value else [()]
    assert [str(name) for name in whole.columns] == ["" if name is None else str(name) for name in head]
    rows = rows + [(None,) * len(head)] * (len(whole) - len(rows))  # rows of nothing at the end are not stored
    for values, cells in zip(cells_of(whole), rows, strict=True):
        assert [] == [(value, cell) for value, cell in zip(values, cells, strict=True) if not same_cell(value, cell)]


def test_the_limits_of_excel():
    """Excel's last row and longest text are taken, and one more is refused."""
    for rows, fits in ((1_048_575, True), (1_048_576, False)):
        frame = pd.DataFrame({"a": pd.Series([1]).repeat(rows).array})
        assert fits is (not list(_too_big(frame)))
    for length, fits in ((32_767, True), (32_768, False)):
        assert fits is (written(pd.DataFrame({"a": ["x" * length]}), "xlsx", _table.CELLS) is not None)


def _too_big(frame):
    from nbfiles.sources._loss import _shape

    return _shape(frame, "xlsx", index=False)


@pytest.mark.parametrize("format_", ["tsv", "html", "md", "txt", "feather", "xlsx"])
def test_some_frames_are_written(format_):
    """Not everything is refused: a plain frame comes through."""
    assert written(pd.DataFrame({"a": [1, 2], "b": ["x", "é"]}), format_, _table.CELLS)


@pytest.mark.parametrize("value", [0.1 + 0.2, 1 / 3, -0.0018820165277906047, 123456789.12345679, 5e-324])
def test_every_digit_in_excel(value):
    """A number in a workbook is the same double again."""
    content = written(pd.DataFrame({"a": [value]}), "xlsx", _table.CELLS)
    assert value == openpyxl.load_workbook(io.BytesIO(content)).active["A2"].value


def test_spaces_in_html():
    """Spaces at the ends of a text and doubled ones are in the HTML, as spaces."""
    texts = [" a", "a ", "a  b", "a   b", "\u3000", "  "]
    content = written(pd.DataFrame({"a  ": texts}), "html", _table.CELLS).decode()
    cells = [html.unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", content)]
    assert ["a  ", *texts] == cells


def test_a_tab_in_a_name_in_text():
    """A tab in a name is a tab in the text."""
    assert b"0\t0 b\n" == written(pd.DataFrame([[1, 2]], columns=["0\t0", "b"]), "txt", _table.CELLS)[:6]
