"""Receipts and one-line errors: what happened, in words, as text and as HTML."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import html5lib
import pytest
from hostile import HIDDEN, PAYLOADS, harmless, raw_hidden, shape

from nbfiles import _receipt
from nbfiles._errors import Error, InputError
from nbfiles._receipt import Note, Planned, Receipt

NOW = datetime(2026, 11, 23, 9, 41, 7, tzinfo=UTC)


@pytest.fixture(autouse=True)
def new_kernel():
    """Let each test begin as a kernel does: told nothing yet."""
    _receipt._told.clear()
    yield
    _receipt._told.clear()


def said(receipt: Receipt) -> str:
    return repr(receipt).replace("\u00a0", " ")


def receipts(text: str) -> list[Receipt]:
    """Return receipts of every kind with `text` in every place that a person or a server fills."""
    return [
        _receipt.uploaded(sent=1, bound=[text], notes=[text, Note(text, warning=True), _receipt.sent_as_text([text])]),
        _receipt.uploaded(sent=1, notes=[_receipt.renamed(text, text)]),
        _receipt.switched(local=True),
        _receipt.planned([Planned(text, 5, text, text)], notes=[text]),
        _receipt.deleted(count=1, freed=5, dead=[text]),
        _receipt.plan(count=1, size=5, notes=_receipt.plan_notes(going=1, dead=[text], missing=[text])),
        _receipt.uploaded(sent=1, notes=[_receipt.sent_anew(text, NOW, NOW), _receipt.ends([text], NOW, NOW)]),
        _receipt.uploaded(sent=1, notes=[_receipt.expired([text]), _receipt.dead([text, text])]),
        _receipt.kept_all(),
    ]


def test_an_upload_is_one_line() -> None:
    """A receipt counts what happened by what happened, and names what is bound."""
    receipt = _receipt.uploaded(sent=4, reused=1, size=24_600_000, seconds=1.9, bound=["report_id", "csv_ids"])
    expected = "4 files uploaded · 1 unchanged, reused · 24.6 MB in 1.9 s · bound report_id, csv_ids"
    assert expected == said(receipt)


def test_what_was_reused_took_no_time() -> None:
    """Bytes and seconds count what was sent, so there are none where all was reused."""
    assert "3 files unchanged, reused · bound csv_ids" == said(_receipt.uploaded(sent=0, reused=3, bound=["csv_ids"]))


def test_an_expiry_is_said_ahead() -> None:
    """A file that expires says when, in words and, for machines, exactly."""
    receipt = _receipt.uploaded(sent=1, size=412_077, seconds=0.4, expires_at=NOW + timedelta(days=7), now=NOW)
    assert "1 file uploaded · 412 kB in 0.4 s · expires in 7 days" == said(receipt)
    assert 'datetime="2026-11-30T09:41:07+00:00"' in receipt._repr_html_()


def test_notes_stand_below() -> None:
    """What a person should know beside the line stands below it, each note on a line of its own."""
    notes = ['df is the variable; "df" would be the file', _receipt.sent_as_text(["sales.csv"]),
             _receipt.sent_as_text(["a.csv", "b.csv"]), _receipt.renamed("a.csv", "a (1).csv")]  # fmt: skip
    expected = [
        "1 file uploaded · 5 B in 1.0 s",
        '  df is the variable; "df" would be the file',
        "  sales.csv sent as text/plain: usable as document and in the container",
        "  2 files sent as text/plain: usable as document and in the container",
        "  a.csv is stored as a (1).csv",
    ]
    assert expected == said(_receipt.uploaded(sent=1, size=5, seconds=1, notes=notes)).splitlines()


def test_local_is_explained_once() -> None:
    """The local Files API says on every receipt where the file is, and once in a kernel what that means."""
    first, second = (_receipt.uploaded(sent=1, size=5, seconds=0.1, local=True) for _ in range(2))
    line = "1 file stored on this machine · 5 B in 0.1 s"
    note = (
        "  Nothing left this machine. The local Files API took the file; its id works only here. "
        "To send to Claude: %files use anthropic"
    )
    assert [f"{line}\n{note}", line] == [said(first), said(second)]


def test_a_receipt_does_not_change() -> None:
    """A receipt says the same however often and in whichever form it is shown."""
    receipt = _receipt.uploaded(sent=2, size=5, seconds=0.1, local=True)
    assert said(receipt) == said(receipt)
    assert "their ids work only here." in said(receipt)
    assert {"text/plain": repr(receipt), "text/html": receipt._repr_html_()} == receipt._repr_mimebundle_()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"count": 2, "total": 12, "kept": ["csv_ids"]}, "2 of 12 files failed; csv_ids keeps its old value"),
        ({"count": 1, "total": 2, "kept": ["a", "b"]}, "1 of 2 files failed; a, b keep their old values"),
        ({"count": 1, "total": 2, "unbound": ["a"]}, "1 of 2 files failed; a was not bound"),
        ({"count": 3, "total": 3, "kept": ["c"], "unbound": ["a", "b"]},
         "3 of 3 files failed; c keeps its old value; a, b were not bound"),
        ({"count": 1, "total": 3}, "1 of 3 files failed"),
    ],
)  # fmt: skip
def test_a_failure_says_what_is_kept(facts: dict, expected: str) -> None:
    """Where files failed, the line says what became of each name."""
    assert expected == _receipt.failed(**facts)


def test_a_switch_says_what_it_means() -> None:
    """Where files go from now on is one line, and for this machine it says the way back."""
    assert "Files go to Claude from now on" == said(_receipt.switched(local=False))
    expected = (
        "Files stay on this machine from now on · no account is needed · ids work only here · "
        "back with %files use anthropic"
    )
    assert expected == said(_receipt.switched(local=True))


def test_a_plan_is_a_small_table() -> None:
    """A dry run shows what would be sent, as what, for which block and name, and that nothing was."""
    receipt = _receipt.planned(
        [Planned("report.pdf", 24_118_204, "application/pdf", "report_id"), Planned("df.parquet", None, "x/y")]
    )
    expected = """\
2 files would be uploaded · 24.1 MB or more · nothing was sent
file          bytes  mime_type        block                       target
report.pdf  24.1 MB  application/pdf  document, container_upload  report_id
df.parquet        –  x/y              container_upload            –"""
    assert expected == said(receipt)


def test_a_long_plan_is_cut() -> None:
    """A dry run of many files shows 20 and says of how many."""
    lines = said(_receipt.planned([Planned("a.csv", 1, "text/plain")] * 30)).splitlines()
    assert ["30 files would be uploaded · 30 B · nothing was sent", "20 of 30 files"] == [lines[0], lines[-1]]
    assert 23 == len(lines)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"count": 13, "freed": 1_190_000_000, "gone": 1}, "13 deleted · 1.19 GB freed · 1 was already gone"),
        ({"count": 2, "freed": 5, "gone": 2, "kept": 1},
         "2 deleted · 5 B freed · 2 were already gone · 1 could not be deleted"),
        ({"count": 2, "freed": 5, "dead": ["a", "b[0]"]}, "2 deleted · 5 B freed · a, b[0] are dead now"),
        ({"count": 3, "freed": 5, "unclear": 2, "untouched": 25},
         "3 deleted · 5 B freed · 2 asked for, without an answer · 25 not touched"),
    ],
)  # fmt: skip
def test_a_deletion_counts_each_outcome(facts: dict, expected: str) -> None:
    """After a deletion each outcome is counted, and the variables that hold dead ids are named."""
    assert expected == said(_receipt.deleted(**facts))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"going": 3}, ["Cannot be undone"]),
        ({"going": 0, "dead": []}, []),
        ({"going": 2, "dead": ["a"]}, ["Cannot be undone. This variable will hold a dead id: a"]),
        ({"going": 2, "dead": [f"v{number}" for number in range(14)]},
         [("Cannot be undone. These variables will hold dead ids: v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11 "
          "and 2 more")]),
        ({"going": 1, "others": 1}, ["Cannot be undone", "It was not uploaded here"]),
        ({"going": 2, "others": 2}, ["Cannot be undone", "None of them was uploaded here"]),
        ({"going": 3, "others": 2}, ["Cannot be undone", "2 of them were not uploaded here"]),
        ({"going": 0, "staying": 2},
         ["2 more were not uploaded here and stay; --all (all=True) takes them too"]),
        ({"going": 0, "missing": ["a", "b"]}, ["a, b were gone already"]),
        ({"going": 0, "alike": 2},
         [("2 more have the name and size of another file and stay: "
          "whether the bytes are equal, the server does not tell")]),
    ],
)  # fmt: skip
def test_a_plan_says_what_to_know_before(facts: dict, expected: list[str]) -> None:
    """A plan names the variables it will leave dead, what was not uploaded here, and what stays and why."""
    notes = _receipt.plan_notes(**facts)
    assert expected == [piece.text.strip().replace("\u00a0", " ") for piece in _receipt.drawn(notes)]


def test_the_page_reads_without_styles() -> None:
    """Without its stylesheet a receipt is paragraphs that say the same as the text."""
    receipt = _receipt.uploaded(sent=1, size=5, seconds=0.1, local=True, bound=["a"], notes=["one note"])
    html = re.sub(r"<style>.*</style>", "", receipt._repr_html_())
    paragraphs = html5lib.parseFragment(html, namespaceHTMLElements=False).iter("p")
    assert said(receipt).replace("  ", "").splitlines() == [
        "".join(each.itertext()).replace("\u00a0", " ") for each in paragraphs
    ]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_becomes_markup(payload: str) -> None:
    """A text in any place of any receipt adds no element and no attribute."""
    expected = [shape(receipt._repr_html_()) for receipt in receipts(harmless(payload))]
    assert expected == [shape(receipt._repr_html_()) for receipt in receipts(payload)]


def test_no_hidden_character_is_shown_raw() -> None:
    """No character that is not seen reaches the page or the terminal; the lines are the receipt's own."""
    breaks = [repr(receipt).count("\n") for receipt in receipts("a.pdf")]
    for char in HIDDEN:
        made = receipts(f"a{char}b.pdf")
        assert set() == {each for receipt in made for each in raw_hidden(receipt._repr_html_())}, f"U+{ord(char):04X}"
        assert breaks == [repr(receipt).count("\n") for receipt in made], f"U+{ord(char):04X}"
        texts = "".join(repr(receipt) for receipt in made).replace("\n", "")
        assert [] == [each for each in texts if each in HIDDEN], f"U+{ord(char):04X}"


def test_an_error_is_one_line() -> None:
    """The cause is bold and red, the way out is plain."""
    line = _receipt.error_line(InputError("there is no file reprot.pdf", "Did you mean report.pdf?"))
    assert "\x1b[1;31mthere is no file reprot.pdf.\x1b[0m Did you mean report.pdf?" == line


def test_an_error_without_a_way_out() -> None:
    """An error that is only a cause is all red, and one without words is its name."""
    lines = [
        _receipt.error_line(error, colour=False) for error in (Error("no"), ValueError("bad"), KeyboardInterrupt())
    ]
    assert ["no", "bad", "KeyboardInterrupt"] == lines


def test_an_error_cannot_drive_the_terminal() -> None:
    """Whatever an error holds, the line has no control but our two codes of colour."""
    for char in HIDDEN:
        line = _receipt.error_line(Error(f"no file a{char}b", f"See a{char}b"))
        rest = line.replace("\x1b[1;31m", "", 1).replace("\x1b[0m", "", 1)
        assert f"no file a<U+{ord(char):04X}>b. See a<U+{ord(char):04X}>b" == rest
