"""Pieces of output: figures, times, names, and that nothing becomes more than text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hostile import HIDDEN, PAYLOADS, harmless, raw_hidden, shape
from hypothesis import given
from hypothesis import strategies as st

from nbfiles import _render

NOW = datetime(2026, 11, 23, 9, 41, 7, tzinfo=UTC)
NB = "\u00a0"


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"), (96, "96 B"), (999, "999 B"), (1000, "1.00 kB"), (73_216, "73.2 kB"), (412_077, "412 kB"),
        (999_499, "999 kB"), (999_500, "1.00 MB"), (9_994_999, "9.99 MB"), (9_995_000, "10.0 MB"),
        (24_118_204, "24.1 MB"), (500_000_000, "500 MB"), (1_210_000_000, "1.21 GB"), (4 * 10**15, "4000 TB"),
    ],
)  # fmt: skip
def test_sizes_are_decimal_with_three_digits(count: int, expected: str) -> None:
    """A size has three significant digits, decimal units and a no-break space, also where it rounds up a unit."""
    assert expected.replace(" ", NB) == _render.size(count)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "1 ms"), (0.038, "38 ms"), (0.0996, "0.1 s"), (1.9, "1.9 s"), (9.96, "10 s"), (42.4, "42 s"),
     (59.6, "1 min"), (200, "3 min 20 s"), (3599.6, "1 h"), (7500, "2 h 5 min")],
)  # fmt: skip
def test_durations(seconds: float, expected: str) -> None:
    """A duration is written in the one or two units that matter."""
    assert expected == _render.duration(seconds).replace(NB, " ")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.2, "1 s left"), (7.1, "8 s left"), (59, "59 s left"), (61, "2 min left"), (230, "4 min left"),
     (3600, "1 h left")],
)  # fmt: skip
def test_what_is_left_is_rounded_up(seconds: float, expected: str) -> None:
    """The time left is never promised shorter than it is."""
    assert expected == _render.remaining(seconds).replace(NB, " ")


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (timedelta(seconds=-30), "just now"), (timedelta(seconds=59), "just now"), (timedelta(minutes=3), "3 min ago"),
        (timedelta(hours=1), "1 hour ago"), (timedelta(hours=9), "9 hours ago"), (timedelta(hours=26), "yesterday"),
        (timedelta(days=2), "2 days ago"), (timedelta(days=6), "6 days ago"), (timedelta(days=42), "12 Oct"),
        (timedelta(days=42 + 731), "11 Oct 2024"),
    ],
)  # fmt: skip
def test_times_that_have_passed(before: timedelta, expected: str) -> None:
    """A time that has passed is said as a person would, and as a date once it is a week old."""
    assert expected == _render.ago(NOW - before, NOW).replace(NB, " ")


def test_yesterday_is_the_readers() -> None:
    """Which day was yesterday is decided by the reader's zone, not by UTC."""
    when = datetime(2026, 11, 22, 0, 30, tzinfo=UTC)
    there = timezone(timedelta(hours=-5))
    said = [_render.ago(when, NOW.astimezone(zone)) for zone in (UTC, there)]
    assert ["yesterday", "2 days ago"] == said


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (timedelta(0), "expired"), (timedelta(days=-1), "expired"), (timedelta(seconds=20), "in 1 min"),
        (timedelta(minutes=20), "in 20 min"), (timedelta(minutes=59, seconds=58), "in 1 hour"),
        (timedelta(hours=3), "in 3 hours"), (timedelta(hours=36), "in 36 hours"),
        (timedelta(days=7) - timedelta(seconds=2), "in 7 days"),
    ],
)  # fmt: skip
def test_times_ahead(left: timedelta, expected: str) -> None:
    """A file that was asked to live seven days expires in 7 days, though two seconds have gone."""
    assert expected == _render.until(NOW + left, NOW).replace(NB, " ")


def test_a_moment_is_exact_for_machines() -> None:
    """The words about a time carry the time itself, with its zone."""
    when = datetime(2026, 11, 23, 10, 41, 7, 5, tzinfo=timezone(timedelta(hours=1)))
    expected = '<time title="2026-11-23 09:41:07+00:00" datetime="2026-11-23T09:41:07+00:00">just now</time>'
    assert expected == _render.moment("just now", when).html


@pytest.mark.parametrize(
    ("name", "head", "tail"),
    [
        ("annual-report-and-board.pdf", "annual-report-and-b", "oard.pdf"),
        ("north.csv", "n", "orth.csv"),
        ("a.md", "", "a.md"),
        ("Makefile", "Make", "file"),
        ("invoice\u202efdp.exe", "invoice<U+202E>", "fdp.exe"),
        ("x." + "y" * 40, "x." + "y" * 36, "yyyy"),
        ("四半期報告書.xlsx", "四半", "期報告書.xlsx"),
        ("cafe\u0301s.txt", "ca", "fe\u0301s.txt"),
    ],
)  # fmt: skip
def test_the_ending_of_a_name_stands_alone(name: str, head: str, tail: str) -> None:
    """A name is two spans, and the second, which never gives way, holds the ending with four letters before it."""
    shown = re.sub(r"</?span class=\"nbf-cc\">|(?<=&gt;)</span>(?=<)", "", _render.name(name).html)
    spans = re.findall(r'<span class="[ht]">(.*?)</span>', shown)
    assert [head, tail] == [span.replace("&lt;", "<").replace("&gt;", ">") for span in spans]


def test_an_accent_stays_with_its_letter() -> None:
    """A name is never cut between a letter and the accent that follows it."""
    assert '<span class="t">e\u0301abc.txt</span>' in _render.name("longname-e\u0301abc.txt").html


def test_text_keeps_the_ending_and_the_id() -> None:
    """In text a long name is cut in its middle to 48 columns, and an id is never cut."""
    name, ident = "r" * 80 + "oard.pdf", "file_" + "x" * 200
    assert "r" * 39 + "…oard.pdf" == _render.name(name).text
    assert ident == _render.ident(ident).text


def test_wide_characters_count_twice() -> None:
    """A wide character takes two columns, and an accent none."""
    assert [4, 4, 3] == [_render.width(text) for text in ("表表", "abcd", "abe\u0301")]


def test_columns_of_text_are_aligned() -> None:
    """In a terminal each column begins at one place, whatever its cells hold, and figures end at one."""
    columns = [_render.Column("name"), _render.Column("n", figures=True), _render.Column("end")]
    rows = [["表.csv", "1", "x"], ["report.pdf", "1000", "x"]]
    drawn = _render.grid(columns, [[_render.piece(cell) for cell in row] for row in rows], "t").text
    assert ["name           n  end", "表.csv         1  x", "report.pdf  1000  x"] == drawn.split("\n")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_becomes_markup(payload: str) -> None:
    """Whatever a text holds, it adds no element and no attribute to a page."""
    makers = (_render.name, _render.ident, _render.code, _render.word, _render.blocks, _render.piece,
              lambda text: _render.element("p", text, title=text),
              lambda text: "x" + _render.piece("y") + text)  # fmt: skip
    expected = [shape(make(harmless(payload)).html) for make in makers]
    assert expected == [shape(make(payload).html) for make in makers]


@given(st.text(max_size=80))
def test_no_text_becomes_markup(text: str) -> None:
    """What holds for the known payloads holds for any text."""
    assert [shape(_render.name("aaa").html), set()] == [
        shape(_render.name(text).html),
        raw_hidden(_render.name(text).html),
    ]


def test_a_marked_name_can_be_read_back() -> None:
    """A hidden character is a mark with a border in the text, and a plain mark on hover."""
    html = _render.name("a\u202eb.pdf").html
    assert 'title="a&lt;U+202E&gt;b.pdf"' in html
    assert '<span class="nbf-cc">&lt;U+202E&gt;</span>' in html


@pytest.mark.parametrize("make", [_render.name, _render.ident, _render.code, _render.word, _render.piece])
def test_no_hidden_character_is_shown_raw(make) -> None:
    """Of all characters that are not seen or that move text, none reaches a page or a terminal."""
    pieces = [make(f"a{char}b.pdf") for char in HIDDEN]
    assert set() == {char for made in pieces for char in raw_hidden(made.html)}
    assert [] == [made.text for made in pieces if any(char in HIDDEN for char in made.text)]


def test_half_a_surrogate_can_be_written() -> None:
    """What no encoding can write is shown as its number."""
    assert b"a<U+D800>.csv" == _render.name("a\ud800.csv").text.encode()


def test_the_stylesheet_touches_nothing_else() -> None:
    """Every rule of the stylesheet begins at our own class, loads nothing, and it is small enough to travel."""
    css = _render.stylesheet().removeprefix("<style>").removesuffix("</style>")
    selectors = [part.strip() for rule in re.findall(r"([^{}]+)\{", css) if "@" not in rule for part in rule.split(",")]
    assert [] == [each for each in selectors if not each.startswith((".nbf", 'html[theme="dark"] .nbf'))]
    assert [] == re.findall(r"url\(|@import|<|expression", css)
    assert len(css) < 7000


def test_icons_are_ornaments() -> None:
    """An icon says nothing to a screen reader and nothing in text, and has a size where styles are stripped."""
    icon = _render.icon("done")
    assert "" == icon.text
    assert 'width="16" height="16"' in icon.html
    assert 'aria-hidden="true"' in icon.html
