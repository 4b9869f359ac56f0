"""Styled frames: what is shown as HTML, the values and colours as a workbook."""

import io

import openpyxl
import pandas as pd
import pytest

from nbfiles import sources
from nbfiles._errors import InputError, LossError
from nbfiles.sources import Request

FRAME = pd.DataFrame({"a": [1.23456789, -2.0], "b": ["=1+1", "é"]})


def styled(frame=FRAME):
    """A style with a format and a colour."""
    return frame.style.format({"a": "{:.2f}"}).map(lambda value: "color: red" if value == -2.0 else "", subset=["a"])


def test_html(store):
    """HTML shows the frame as its style says, and an equal style is the same file."""
    arrived = store(styled())
    assert ("data.html", "text/html") == (arrived.name, arrived.mime_type)
    (back,) = pd.read_html(io.StringIO(arrived.content.decode()), flavor="bs4")
    assert [1.23, -2.0] == back["a"].tolist()
    assert ["=1+1", "é"] == back["b"].tolist()
    assert b"color: red" in arrived.content
    assert arrived.content == store(styled()).content


def test_xlsx(store):
    """A workbook has the values with all their digits, the colours, and texts that stay texts."""
    content = store(styled(), format="xlsx").content
    pd.testing.assert_frame_equal(FRAME, pd.read_excel(io.BytesIO(content), index_col=0))
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    assert "s" == sheet["C2"].data_type
    assert sheet["B3"].font.color.rgb.endswith("FF0000")


def test_index(send):
    """--no-index hides the index, and the user's style stays as it is."""
    style = styled()
    assert pd.read_html(io.StringIO(send(style, index=False).content.decode()), flavor="bs4")[0].columns.tolist() == [
        "a",
        "b",
    ]
    assert not any(style.hide_index_)
    without = pd.read_excel(io.BytesIO(send(style, index=False, format="xlsx").content))
    assert ["a", "b"] == without.columns.tolist()


@pytest.mark.parametrize(
    ("style", "request_", "error", "words"),
    [
        (styled(), {"sample": 1}, InputError, "a style belongs to the rows"),
        (styled(), {"format": "csv"}, InputError, "there is no format csv for a styled frame"),
        (FRAME.assign(c=float("inf")).style, {"format": "xlsx"}, LossError, "x: column c holds inf"),
    ],
)
def test_refused(style, request_, error, words):
    """What a style cannot become is refused."""
    with pytest.raises(error, match=words):
        sources.payloads(style, Request(label="x", **request_))
