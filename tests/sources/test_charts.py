"""Charts of plotly and altair: as a page, as JSON that is the chart again, and as a picture."""

import io
import json
import os
import sys
from pathlib import Path

import altair as alt
import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest
import vega_datasets
from PIL import Image

from nbfiles import sources
from nbfiles._errors import InputError, SourceError
from nbfiles.sources import Request

PLOTLY = go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name="é"))


def altair_chart():
    """A chart of real data."""
    return (
        alt.Chart(pd.read_json(Path(vega_datasets.__file__).parent / "_data/cars.json"))
        .mark_point()
        .encode(x="Horsepower:Q", y="Miles_per_Gallon:Q")
    )


def test_plotly(store):
    """A plotly figure is a page by default; its JSON is the same figure again."""
    page = store(PLOTLY)
    assert ("data.html", "text/html", True) == (page.name, page.mime_type, b"cdn.plot.ly" in page.content)
    assert page.content == store(PLOTLY).content
    assert plotly.io.from_json(store(PLOTLY, format="json").content.decode()) == PLOTLY
    assert b"cdn.plot.ly/plotly" not in store(PLOTLY, opt={"include_plotlyjs": False}).content


def test_plotly_as_a_picture(store, monkeypatch):
    """With kaleido and a browser a plotly figure is a picture, also where it is wanted as an image."""
    monkeypatch.setenv("BROWSER_PATH", os.environ["NBFILES_CHROMIUM"])
    arrived = store(PLOTLY, for_="image", opt={"width": 300, "height": 200})
    assert ("data.png", "PNG", (300, 200)) == (
        arrived.name,
        (image := Image.open(io.BytesIO(arrived.content))).format,
        image.size,
    )


def test_altair(store):
    """An altair chart is a page by default; its JSON is the same chart again."""
    chart = altair_chart()
    page = store(chart)
    assert ("data.html", True) == (page.name, b"vegaEmbed" in page.content)
    assert chart.to_dict() == alt.Chart.from_json(store(chart, format="json").content.decode()).to_dict()


@pytest.mark.parametrize(("format_", "signature"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("pdf", b"%PDF-")])
def test_altair_as_a_picture(store, format_, signature):
    """With vl-convert an altair chart is a picture or a drawing."""
    arrived = store(altair_chart(), format=format_)
    assert arrived.content.startswith(signature)
    assert f"data.{format_}" == arrived.name


def test_compound_charts(store):
    """Charts beside each other are one file."""
    chart = altair_chart() | altair_chart()
    assert 2 == len(json.loads(store(chart, format="json").content)["hconcat"])


def test_more_rows_than_altair_takes():
    """A chart of too many rows is one line that says what to do."""
    chart = alt.Chart(pd.DataFrame({"x": range(6000)})).mark_bar().encode(x="x:Q")
    with pytest.raises(InputError, match="more rows than altair puts into one"):
        sources.payloads(chart, Request(format="html"))


def test_a_chart_that_cannot_be_drawn(monkeypatch):
    """What a library says when it cannot draw is one line, with the chart's name."""

    def fail(*_, **__):
        raise RuntimeError("no browser here\nat all")

    monkeypatch.setattr(go.Figure, "to_image", fail)
    with pytest.raises(SourceError, match="fig cannot be drawn: no browser here"):
        sources.payloads(PLOTLY, Request(label="fig", format="png"))


@pytest.mark.parametrize("chart", [PLOTLY, altair_chart()], ids=["plotly", "altair"])
def test_refused(chart):
    """A chart is no table."""
    with pytest.raises(InputError, match="there is no format csv for a chart"):
        sources.payloads(chart, Request(format="csv"))


@pytest.mark.parametrize(("chart", "package"), [(PLOTLY, "kaleido"), (altair_chart(), "vl_convert")])
def test_without_the_package_that_draws(chart, package, monkeypatch):
    """Without the package that draws pictures the error names it."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=package):
        sources.payloads(chart, Request(format="png"))
