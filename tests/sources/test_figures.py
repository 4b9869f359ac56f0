"""Figures of matplotlib and what carries one: drawn as the notebook shows them, the same file every time."""

import io
import subprocess
import sys
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nbfiles import sources
from nbfiles._errors import InputError
from nbfiles.sources import Request

mpl.use("agg")
import matplotlib.pyplot as plt  # after the backend was chosen

SIGNATURES = {"png": b"\x89PNG", "jpg": b"\xff\xd8\xff", "webp": b"RIFF", "pdf": b"%PDF-", "svg": b"<?xml"}


@pytest.fixture
def figure():
    """A figure of two axes, one of them with a line."""
    made, axes = plt.subplots(1, 2)
    axes[0].plot([1, 2], [3, 4])
    yield made
    plt.close(made)


@pytest.mark.parametrize("format_", SIGNATURES)
def test_formats(store, figure, format_):
    """A figure is a picture or a drawing, and drawn again it is the same file."""
    arrived = store(figure, format=format_)
    assert arrived.content.startswith(SIGNATURES[format_])
    assert f"data.{format_}" == arrived.name
    assert arrived.content == store(figure, format=format_).content
    if format_ in {"png", "webp"}:
        image = Image.open(io.BytesIO(arrived.content))
        assert (format_.upper(), True) == (image.format, len(np.unique(np.asarray(image.convert("L")))) > 2)


def test_purpose(send, figure):
    """--for chooses the format: a picture as image, a PDF as document."""
    assert "image/png" == send(figure).mime_type
    assert "image/png" == send(figure, for_="image").mime_type
    assert "application/pdf" == send(figure, for_="document").mime_type


def test_carriers(send, figure):
    """Axes, an array of axes, a part of a figure and a grid stand for their figure."""
    expected = send(figure).content
    grid = SimpleNamespace(fig=figure)
    for carrier in (figure.axes[0], np.array(figure.axes), np.array([figure.axes]), grid):
        assert expected == send(carrier).content
    whole = plt.figure()
    part, _ = whole.subfigures(1, 2)
    axes = part.subplots()
    assert send(whole).content == send(axes).content
    plot = pd.DataFrame({"a": [1, 2]}).plot()
    assert send(plot.figure).content == send(plot).content
    plt.close("all")


def test_options(send, figure):
    """The resolution can be set, and the figure stays as it was."""
    small, large = (Image.open(io.BytesIO(send(figure, opt=(("dpi", dpi),)).content)).width for dpi in (50, 100))
    assert 2 == pytest.approx(large / small, rel=0.02)
    assert 100 == figure.dpi
    with pytest.raises(InputError, match="png has no option colour"):
        sources.payloads(figure, Request(opt=(("colour", 1),)))


@pytest.mark.parametrize("request_", [{"format": "csv"}, {"name": "a.xlsx"}])
def test_refused(figure, request_):
    """A figure is no table."""
    with pytest.raises(InputError, match="png, jpg, webp, pdf, svg"):
        sources.payloads(figure, Request(**request_))


def test_nothing_is_imported():
    """To ask what an array is imports neither matplotlib nor anything else that draws."""
    code = (
        "import sys, numpy; from nbfiles import sources; sources.payloads(numpy.arange(3)).close(); "
        "print(sorted({'matplotlib', 'PIL', 'plotly', 'altair', 'pandas', 'pyarrow', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "[]" == done.stdout.strip()
