"""How much is stored: the sums, in a frame, in words and as a figure."""

from __future__ import annotations

import builtins
import html
import re
from datetime import UTC, datetime, timedelta

import html5lib
import pandas as pd
import pytest
from hostile import PAYLOADS, harmless, shape
from hypothesis import given
from hypothesis import strategies as st

from nbfiles._models import FileMetadata
from nbfiles._usage import AGES, usage

NOW = datetime(2026, 11, 23, 9, 41, 7, tzinfo=UTC)


def file(number: int, mime_type: str = "text/plain", size: int = 10, days: float = 0, **fields) -> FileMetadata:
    return FileMetadata(f"f{number}", "file", "a", mime_type, size, NOW - timedelta(days=days), **fields)


FILES = [
    file(1, "application/pdf", 300_000_000_000, 40),
    file(2, "application/pdf", 100_000_000_000, 3),
    file(3, "text/csv", 12_000_000_000, 0.5),
    file(4, "image/png", 5_000, 8, downloadable=True),
    file(5, "text/csv", 10**12, 90, expires_at=NOW - timedelta(days=1)),
]


def made(files=FILES, **more):
    return usage(files, {"f1", "f3"}, **{"limit": 10**12, "limit_from": "somewhere", "requests": 2, "now": NOW} | more)


def test_the_sums() -> None:
    """Files are added up by type, age and owner; those that have expired take no room."""
    found = made()
    assert (4, 412_000_005_000, 1) == (found.files, found.size_bytes, found.expired)
    assert {"here": 312_000_000_000, "elsewhere": 100_000_000_000, "code execution": 5_000} == (
        found.by("origin")["size_bytes"].to_dict()
    )
    assert ["application/pdf", "text/csv", "image/png"] == found.by("mime_type").index.tolist()
    assert {"older": 1, "under a week": 1, "under a day": 1, "under 30 days": 1} == found.by("age")["files"].to_dict()
    dtypes = ["object", "category", "object", "Int64", "Int64"]
    assert dtypes == [str(dtype) for dtype in found.table.dtypes] == [str(dtype) for dtype in made([]).table.dtypes]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**12), st.floats(0, 400)), max_size=30))
def test_nothing_is_lost(rows) -> None:
    """However files are cut up, the parts sum to the whole."""
    files = [file(number, f"text/{kind}", size, days) for number, (kind, size, days) in enumerate(rows)]
    found = made(files)
    for column in ("mime_type", "age", "origin"):
        assert (len(files), sum(each.size_bytes for each in files)) == tuple(found.by(column).sum())


def test_the_words() -> None:
    """The text says what is stored, whose, by type and age, where the limit came from, and what it cost."""
    expected = """\
412 GB of 1.00 TB (41 %) · 4 files · uploaded here 312 GB in 2 files · uploaded elsewhere 100 GB in 1 file · made by code execution 5.00 kB in 1 file
mime_type        files     size  under a day  under a week  under 30 days   older
application/pdf      2   400 GB            –        100 GB              –  300 GB
text/csv             1  12.0 GB      12.0 GB             –              –       –
image/png            1  5.00 kB            –             –        5.00 kB       –
  Of this workspace; the limit is the whole organisation's, from somewhere
  1 expired file not counted: they take no room
  Cost: 2 requests"""  # noqa: E501  # one line, as it is shown
    assert expected == repr(made()).replace("\u00a0", " ")


def test_an_empty_place() -> None:
    """Nothing stored is said, without a table."""
    lines = repr(made([], requests=1, local=True)).replace("\u00a0", " ").splitlines()
    assert [
        "0 B of 1.00 TB (0 %) · 0 files",
        "  Of this machine only; the limit is from somewhere",
        "  Cost: 1 request",
    ] == lines


def test_the_page_says_the_same() -> None:
    """The page has the words of the text, and a picture that is an ornament beside them."""
    page = html5lib.parseFragment(made()._repr_html_(), namespaceHTMLElements=False)
    (image,) = page.iter("img")
    assert image.get("src").startswith("data:image/png;base64,")
    assert "" == image.get("alt")
    page = html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", made()._repr_html_()))
    words = " ".join(page.replace("\u00a0", " ").split())
    for word in " ".join(repr(made()).replace("\u00a0", " ").split()).split(" "):
        assert word in words


def test_the_figure_is_in_the_notebooks_style() -> None:
    """The bars sum to what is stored, older is stronger, and colours are those of the style that is set."""
    import matplotlib as mpl

    with mpl.rc_context({"axes.prop_cycle": mpl.cycler(color=["#123456"]), "figure.facecolor": "#222222"}):
        figure = made().figure()
    assert "#222222" == mpl.colors.to_hex(figure.get_facecolor())
    whole, parts = figure.axes
    bars = [bar for container in parts.containers for bar in container]
    assert 412_000_005_000 == sum(bar.get_width() for bar in bars)
    assert {"#123456"} == {mpl.colors.to_hex(bar.get_facecolor()) for bar in bars}
    shades = [container[0].get_alpha() for container in parts.containers]
    assert sorted(shades) == shades
    assert AGES == tuple(container.get_label() for container in parts.containers)
    assert 412_000_005_000 == whole.containers[0][0].get_width()
    assert [] == mpl._pylab_helpers.Gcf.get_all_fig_managers()


def test_many_types_are_put_together() -> None:
    """The figure shows the largest types, and the others as one."""
    files = [file(number, f"text/t{number}", 100 - number) for number in range(20)]
    found = made(files)
    assert "8 other types" in repr(found)
    assert 13 == len(found.figure().axes[1].get_yticklabels())
    assert sum(each.size_bytes for each in files) == found.size_bytes


def test_without_matplotlib(monkeypatch) -> None:
    """Without matplotlib there are the words and the table, and no complaint."""
    importing = builtins.__import__

    def without(name, *rest, **more):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return importing(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "<img" not in made()._repr_html_()
    assert "412" in made()._repr_html_()
    with pytest.raises(ImportError):
        made().figure()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_becomes_markup(payload: str) -> None:
    """A MIME type of a server's becomes no element, no attribute, and no formula of the figure."""
    plain, hostile = (
        re.sub(r'src="[^"]*"', "", made([file(1, text)])._repr_html_()) for text in (harmless(payload), payload)
    )
    assert shape(plain) == shape(hostile)
    assert pd.DataFrame is type(made().by("age"))
