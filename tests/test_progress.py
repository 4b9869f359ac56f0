"""Displays of a transfer: the figures, the bar of a notebook, the line of a terminal."""

from __future__ import annotations

import io
import sys
import threading
from datetime import UTC, datetime

import nbclient
import nbformat
import pytest
from hostile import HIDDEN, PAYLOADS, harmless, raw_hidden, shape
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from nbfiles import _progress, _receipt
from nbfiles._errors import Error
from nbfiles._events import Done, Failed, Progress, Queued, Retrying
from nbfiles._models import FileMetadata
from nbfiles._progress import NotebookBar, Plain, Silent, Tally, TextLine

FILE = FileMetadata("file_1", "file", "a.csv", "text/plain", 10, datetime(2026, 11, 23, tzinfo=UTC))
RECEIPT = _receipt.uploaded(sent=1, size=10, seconds=1)
MB = 1_000_000


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tally(clock) -> Tally:
    return Tally(clock)


@pytest.fixture
def published():
    """Run within a shell whose displays are caught; yield them."""
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    before, shell.display_pub = shell.display_pub, CapturingDisplayPublisher()
    yield shell.display_pub.outputs
    shell.display_pub = before
    InteractiveShell.clear_instance()


def said(tally: Tally) -> str:
    return tally.line().text.replace("\u00a0", " ")


def send(watcher, clock, transfer: int, size: int, *, seconds: float, sent: int = 0, until: int | None = None) -> None:
    """Let `transfer` move evenly from `sent` to `until`, with an event each tenth of a second."""
    steps, until = round(seconds * 10), size if until is None else until
    for step in range(1, steps + 1):
        clock.now += 0.1
        watcher(Progress(transfer, sent + (until - sent) * step // steps, size))


def test_the_line_says_where_it_stands(tally, clock) -> None:
    """Several files are counted, with the speed of the last 3 seconds and what is left at that speed."""
    for number in range(12):
        tally(Queued(number, f"{number}.csv", 40 * MB))
    for number in range(3):
        tally(Done(number, FILE, 0))
    send(tally, clock, 3, 40 * MB, seconds=4, until=40 * MB)
    assert "3 of 12 files · 10.0 MB/s · 32 s left" == said(tally)


def test_one_file_is_called_by_its_name(tally) -> None:
    """A single file is not counted but named."""
    tally(Queued(0, "report.pdf", 40 * MB))
    assert "report.pdf" == said(tally)


def test_figures_wait_for_data(tally, clock) -> None:
    """There is no speed before one second of data and no time left before two."""
    tally(Queued(0, "a", 100 * MB))
    lines = []
    for second in (0.6, 0.8, 1.2):
        send(tally, clock, 0, 100 * MB, seconds=second, sent=int(10 * MB * second), until=int(20 * MB * second))
        lines.append(said(tally).count("·"))
    assert [0, 1, 2] == lines


def test_a_pause_does_not_linger(tally, clock) -> None:
    """After a long pause the speed is that of the last seconds, not the mean of the pause."""
    tally(Queued(0, "a", 100 * MB))
    send(tally, clock, 0, 100 * MB, seconds=3, until=30 * MB)
    clock.now += 60
    assert "a" == said(tally)
    send(tally, clock, 0, 100 * MB, seconds=3.2, sent=30 * MB, until=62 * MB)
    assert 10 * MB == pytest.approx(tally.speed, rel=0.05)


def test_a_retry_says_why_and_when(tally, clock) -> None:
    """While a file waits for its next try the line counts down and says why; other files' pace stays beside it."""
    tally(Queued(0, "a.csv", 10 * MB))
    tally(Retrying(0, "Claude is busy", 8.0, 2, 5))
    lines = [said(tally)]
    clock.now += 5
    lines.append(said(tally))
    clock.now += 5
    lines.append(said(tally))
    tally(Queued(1, "b.csv", 10 * MB))
    lines.append(said(tally))
    assert [
        "a.csv · Claude is busy, next try in 8 s (2 of 5)",
        "a.csv · Claude is busy, next try in 3 s (2 of 5)",
        "a.csv · Claude is busy, trying again (2 of 5)",
        "0 of 2 files · Claude is busy, trying again (2 of 5)",
    ] == lines


def test_a_rewind_is_said(tally) -> None:
    """The bar goes back when a file is sent again, and the line says so until the file is as far as it was."""
    tally(Queued(0, "a.csv", 10 * MB))
    steps = []
    for sent in (8 * MB, 0, 4 * MB, 8 * MB):
        tally(Progress(0, sent, 10 * MB))
        steps.append((tally.fraction, said(tally)))
    again = "a.csv · sent again from its start"
    assert [(0.8, "a.csv"), (0.0, again), (0.4, again), (0.8, "a.csv")] == steps


def test_a_rewind_among_others_names_its_file(tally) -> None:
    """Of several files the one that is sent again is named."""
    for number in range(2):
        tally(Queued(number, f"{number}.csv", 10))
        tally(Progress(number, 5, 10))
    tally(Progress(1, 0, 10))
    assert "0 of 2 files · 1.csv sent again from its start" == said(tally)


def test_the_bar_never_goes_back_for_more_work(tally) -> None:
    """Files that are found later make the bar wait, not fall."""
    tally(Queued(0, "a", 10))
    tally(Progress(0, 9, 10))
    tally(Queued(1, "b", 90))
    assert 0.9 == tally.fraction
    tally(Done(0, FILE, 10))
    tally(Progress(1, 85, 90))
    assert 0.95 == tally.fraction


def test_a_failed_file_counts_as_done_and_is_said(tally) -> None:
    """A file that failed needs no more work, and the line counts it apart."""
    tally(Queued(0, "a", 10))
    tally(Queued(1, "b", 10))
    tally(Failed(0, Error("no")))
    assert (0.5, "1 of 2 files · 1 failed") == (tally.fraction, said(tally))


def test_empty_files_are_counted(tally) -> None:
    """Where no file has a byte, the bar counts files."""
    for number in range(4):
        tally(Queued(number, "a", 0))
    tally(Done(0, FILE, 0))
    assert 0.25 == tally.fraction


def test_the_last_wait_is_said(tally) -> None:
    """When all bytes have left and the answer has not come, the line says what is waited for."""
    tally(Queued(0, "a", 10))
    tally(Progress(0, 10, 10))
    assert "a · all sent, waiting for the answer" == said(tally)


def test_a_quick_transfer_shows_no_bar(published, clock) -> None:
    """What is over within half a second shows its receipt and nothing before."""
    bar = NotebookBar(clock)
    bar(Queued(0, "a", 10 * MB))
    send(bar, clock, 0, 10 * MB, seconds=0.4)
    bar.finish(RECEIPT)
    assert [RECEIPT._repr_mimebundle_()] == [each["data"] for each in published]


def test_the_bar_becomes_the_receipt(published, clock) -> None:
    """A longer transfer is one output, updated in place at most ten times a second; the last update is the receipt."""
    bar = NotebookBar(clock)
    bar(Queued(0, "a", 10 * MB))
    for step in range(1000):
        clock.now += 0.002
        bar(Progress(0, 10_000 * step, 10 * MB))
    bar.finish(RECEIPT)
    bar.tick()
    assert 15 <= len(published) <= 17
    assert [False, *[True] * (len(published) - 1)] == [each["update"] for each in published]
    assert 1 == len({each["transient"]["display_id"] for each in published})
    assert RECEIPT._repr_mimebundle_() == published[-1]["data"]
    assert 'aria-valuenow="25" style="--sent' not in published[0]["data"]["text/html"]
    assert 'role="progressbar"' in published[0]["data"]["text/html"]


def test_an_error_takes_the_bar_away(published, clock) -> None:
    """After an error nothing is left of a bar that was shown, and one that was not shown does not appear."""
    NotebookBar(clock).clear()
    assert [] == published
    bar = NotebookBar(clock)
    clock.now += 1
    bar(Queued(0, "a", 10))
    bar.clear()
    assert {"text/plain": "", "text/html": ""} == published[-1]["data"]


def test_quiet_ends_without_a_receipt(published, clock) -> None:
    """A call without a receipt leaves no output."""
    NotebookBar(clock).finish(None)
    assert [] == published


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_becomes_markup(payload: str, clock) -> None:
    """A file's name and a server's reason add no element and no attribute to the bar."""

    def bar(text: str):
        tally = Tally(clock)
        tally(Queued(0, text, 10))
        tally(Retrying(0, text, 1.0, 2, 5))
        return shape(_progress._bar(tally).html)

    assert bar(harmless(payload)) == bar(payload)


def test_no_hidden_character_is_shown_raw(clock) -> None:
    """No character that is not seen reaches the bar or the line."""
    for char in HIDDEN:
        tally = Tally(clock)
        tally(Queued(0, f"a{char}b", 10))
        tally(Retrying(0, f"a{char}b", 1.0, 2, 5))
        bar = _progress._bar(tally)
        assert set() == raw_hidden(bar.html), f"U+{ord(char):04X}"
        assert [] == [each for each in bar.text if each in HIDDEN], f"U+{ord(char):04X}"


class Terminal(io.StringIO):
    """A terminal that keeps what was written to it."""

    def isatty(self) -> bool:
        return True


def test_the_line_of_a_terminal(monkeypatch, clock) -> None:
    """In a terminal a line shows the percentage and the same words, is wiped, and the receipt takes its place."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    threads = threading.enumerate()
    line = TextLine(clock)
    line(Queued(0, "a\x1b[2J.csv", 10 * MB))
    send(line, clock, 0, 10 * MB, seconds=3, until=5 * MB)
    line.finish(RECEIPT)
    written = sys.stderr.getvalue()
    assert " 50% |" in written
    assert "a<U+001B>[2J.csv · 1.67 MB/s · 3 s left" in written.replace("\u00a0", " ")
    assert repr(RECEIPT) == written.rstrip("\n").rpartition("\r")[2]
    assert threads == threading.enumerate()


def test_where_we_run_decides(monkeypatch, published) -> None:
    """A terminal gets a line, a script's log the receipt alone, and whoever asks for quiet nothing."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert [TextLine, Silent] == [type(_progress.observer()), type(_progress.observer(quiet=True))]
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert Plain is type(_progress.observer())
    monkeypatch.setattr(sys, "stderr", None)
    assert Plain is type(_progress.observer())


def test_a_log_gets_the_receipt(capsys) -> None:
    """Where output goes into a file, only the receipt is printed."""
    plain = Plain()
    plain(Queued(0, "a", 10))
    plain.finish(RECEIPT)
    plain.finish(None)
    assert f"{RECEIPT!r}\n" == capsys.readouterr().out


def test_silence(capsys, published) -> None:
    """The silent display takes everything and shows nothing."""
    silent = Silent()
    silent(Queued(0, "a", 10))
    silent.tick()
    silent.finish(RECEIPT)
    silent.clear()
    assert ("", "", []) == (*capsys.readouterr(), published)


def test_a_saved_notebook_holds_the_receipt() -> None:
    """In a real kernel under nbclient the cell is saved with the receipt where the bar was, and with no bar."""
    cell = """
import time
from nbfiles import _receipt
from nbfiles._events import Progress, Queued
from nbfiles._progress import observer

display = observer()
display(Queued(0, "a.csv", 100))
time.sleep(0.6)
display(Progress(0, 50, 100))
display.finish(_receipt.uploaded(sent=1, size=100, seconds=0.6, bound=["a"]))
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    (output,) = notebook.cells[0].outputs
    assert "display_data" == output.output_type
    assert "1 file uploaded · 100 B in 0.6 s · bound a" == output.data["text/plain"].replace("\u00a0", " ")
    assert "progressbar" not in output.data["text/html"]
