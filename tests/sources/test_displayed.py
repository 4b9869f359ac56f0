"""What shows itself in a notebook: its best form, or the one that is asked for."""

import base64
import json

import pytest
from IPython import display

from nbfiles import sources
from nbfiles._errors import InputError, SourceError
from nbfiles.sources import Request

PNG = b"\x89PNG\r\n\x1a\nrest"
JPEG = b"\xff\xd8\xff\xe0rest"
GIF = b"GIF89a\x02\0\x02\0rest"


class Both:
    """An object with a picture, a page and a broken form."""

    def _repr_png_(self):
        return PNG

    def _repr_html_(self):
        return "<b>é</b>"

    def _repr_svg_(self):
        raise RuntimeError("not today")


class Bundle:
    """An object that gives all its forms at once, with metadata, as a notebook's file holds them."""

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"image/png": base64.b64encode(PNG).decode(), "text/plain": "x"}, {"image/png": {"width": 3}}


class Nothing:
    """An object whose form is nothing, as of a figure without content."""

    def _repr_html_(self):
        return None


class Widget:
    """An object that only its own front end can show."""

    def _repr_mimebundle_(self, **_):
        return {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "x"}


@pytest.mark.parametrize(
    ("obj", "name", "content"),
    [
        (Both(), "data.png", PNG),
        (Bundle(), "data.png", PNG),
        (display.Image(data=PNG), "data.png", PNG),
        (display.Image(data=JPEG), "data.jpg", JPEG),
        (display.Image(data=GIF), "data.gif", GIF),
        (display.SVG(data="<svg>é</svg>"), "data.svg", "<svg>é</svg>".encode()),
        (display.HTML("<p>é"), "data.html", "<p>é".encode()),
        (display.Markdown("# é"), "data.md", "# é".encode()),
        (display.JSON({"a": ["é"]}), "data.json", '{"a": ["é"]}'.encode()),
        (display.Latex(r"$\alpha$"), "data.tex", rb"$\alpha$"),
        (display.Javascript("1 + 1"), "data.js", b"1 + 1"),
        (display.GeoJSON({"type": "Point"}), "data.json", b'{"type": "Point"}'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_best(store, obj, name, content):
    """An object is what it would be in the cell's output: a picture before a page before text."""
    arrived = store(obj)
    assert (name, content) == (arrived.name, arrived.content)


def test_asked(send):
    """Another form can be asked for by format, by name and by purpose."""
    assert "<b>é</b>".encode() == send(Both(), format="html").content
    assert "<b>é</b>".encode() == send(Both(), name="a.htm").content
    assert "image/png" == send(Both(), for_="image").mime_type
    assert {"a": 1} == json.loads(send(display.JSON({"a": 1})).content)


@pytest.mark.parametrize(
    ("obj", "request_", "error", "words"),
    [
        (Nothing(), {}, SourceError, "x is a .*Nothing, which shows nothing that could be a file"),
        (Widget(), {}, SourceError, "x is a .*Widget, which shows nothing that could be a file"),
        (Both(), {"format": "svg"}, InputError, "there is no format svg for what it shows. It is one of png, html"),
        (Both(), {"name": "a.csv"}, InputError, "what it shows cannot be written as a.csv"),
    ],
)
def test_refused(obj, request_, error, words):
    """What an object does not show it cannot be, and the error says what it can be."""
    with pytest.raises(error, match=words):
        sources.payloads(obj, Request(label="x", **request_))


def test_nothing_is_drawn_to_find_out():
    """Whether an object can show itself is asked without drawing it."""
    calls = []

    class Slow:
        def _repr_png_(self):
            calls.append(1)
            return PNG

    assert sources._displayed.matches(Slow())
    assert [] == calls
    assert not sources._displayed.matches(Slow)
