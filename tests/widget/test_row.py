"""One row's first hop over the comm: whatever becomes of the pieces on their way, the file is whole or none."""

from __future__ import annotations

import errno
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page import landed_in

from nbfiles._landing import Arrival, Landing
from nbfiles.widget._row import MOST_PIECES, Row

DATA = bytes(range(256))


@pytest.fixture
def landing(spool):
    with Landing(spool) as landing:
        yield landing


def receiving(landing: Landing, size: int = 100) -> Row:
    """A row that awaits its bytes over the comm."""
    row = Row("page-0", "a.bin", "", size)
    row.expect(landing, comm=True)
    return row


def take(row: Row, start: int, end: int) -> int:
    return row.take(start, memoryview(DATA)[start:end])


def content(row: Row) -> bytes:
    with row.ticket.open(idle=0.05) as reader:
        return reader.readall()


def test_in_order(landing):
    """Pieces in their order are appended, and the last one makes the file whole."""
    row = receiving(landing)
    assert [40, 80] == [take(row, 0, 40), take(row, 40, 80)]
    assert (False, True, 80) == (row.ready, row.landing, row.received)
    assert 100 == take(row, 80, 100)
    assert (True, False) == (row.ready, row.landing)
    assert DATA[:100] == content(row)


def test_twice(landing):
    """A piece that comes again, even after the end, changes nothing."""
    row = receiving(landing)
    assert [40, 40, 100, 100, 100] == [take(row, *piece) for piece in ((0, 40), (0, 40), (40, 100), (40, 100), (0, 40))]
    assert (True, None) == (row.ready, row.ticket.failure)
    assert DATA[:100] == content(row)


def test_overlapping(landing):
    """A piece that begins in what is there adds only what is new."""
    row = receiving(landing)
    assert [40, 60, 60, 100] == [take(row, *piece) for piece in ((0, 40), (20, 60), (10, 50), (0, 100))]
    assert DATA[:100] == content(row)


def test_out_of_order(landing):
    """A piece that has overtaken another waits for it."""
    row = receiving(landing)
    assert [0, 0, 100] == [take(row, *piece) for piece in ((60, 100), (30, 60), (0, 30))]
    assert DATA[:100] == content(row)


def test_beyond_the_window(landing):
    """Pieces too far ahead are forgotten, so memory stays bounded; those that come next are taken all the same."""
    row = receiving(landing)
    ahead = [(start, start + 10) for start in range(90, 10, -10)]
    assert [0] * 8 == [take(row, *piece) for piece in ahead]
    assert MOST_PIECES == len(row._pieces)
    assert 10 == take(row, 0, 10)
    assert 20 == take(row, 10, 20)
    assert 100 == take(row, 20, 100)
    assert DATA[:100] == content(row)


def test_a_shorter_one_does_not_replace_a_longer(landing):
    """Of two pieces with the same beginning the longer counts: after a loss the browser sends smaller ones."""
    row = receiving(landing)
    assert [0, 0, 100] == [take(row, *piece) for piece in ((50, 100), (50, 60), (0, 50))]


@pytest.mark.parametrize("pieces", [[(0, 101)], [(0, 60), (60, 101)], [(60, 101), (0, 60)], [(100, 101), (0, 100)]])
def test_more_than_announced(landing, pieces):
    """A byte more than was announced never makes a longer file: it fails, or comes after the end and is not taken."""
    row = receiving(landing)
    for piece in pieces:
        take(row, *piece)
    if row.ready:
        assert DATA[:100] == content(row)
    else:
        assert "more bytes came than were announced" == row.ticket.failure
    assert not row.landing


@pytest.mark.parametrize("after", [0, 40])
def test_full_disk(landing, monkeypatch, after):
    """A disk that is full at whichever piece ends the landing with a reason, and what comes later is ignored."""
    row = receiving(landing)
    take(row, 0, after)

    def full(handle, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("nbfiles._landing.os.write", full)
        assert after == take(row, after, 100)
        # The mark itself could not be written either; then the reader's idle limit has to tell.
        assert (False, False) == (row.ready, row.ticket.done)
    assert after == take(row, after, 100)
    assert not row.ready


def test_full_disk_with_room_for_the_reason(landing, monkeypatch):
    """Where there is room for the mark, it says why."""
    row = receiving(landing)

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Arrival, "append", full)
    take(row, 0, 100)
    assert "the disk is full or cannot be written" == row.ticket.failure
    assert (False, False) == (row.ready, row.landing)


def test_given_up(landing, spool):
    """A row that lets go of its bytes leaves no file, takes no piece, and may let go twice."""
    row = receiving(landing)
    take(row, 0, 40)
    row.give_up()
    row.give_up()
    assert [] == landed_in(spool)
    assert (0, 0, False, False) == (take(row, 40, 80), row.received, row.ready, row.landing)
    assert [] == landed_in(spool)


def test_expected_anew(landing, spool):
    """A row that expects its bytes anew begins at zero, with another token, and the first landing is gone."""
    row = receiving(landing)
    first = row.ticket
    take(row, 0, 40)
    second = row.expect(landing, comm=False)
    assert first.token != second.token
    assert (True, 0, 0) == (first.discarded, row.landed, row.received)
    assert [f"{second.token}.ticket"] == landed_in(spool)


@pytest.mark.parametrize(
    "row", [Row("k", "a", "p/a", 5, "text/plain"), Row("k", "a", "", 5, state="failed", reason="No.")]
)
def test_record(row):
    """A record has the same keys in every state, and plain values."""
    record = row.record()
    keys = "key name path size mime state landed sent ready reason side id block variable"
    assert keys.split() == list(record)
    assert {str, int, bool} >= {type(value) for value in record.values()}


@st.composite
def arrivals(draw):
    """Pieces of a file in any order, again and overlapping, of which no more than the window lie ahead."""
    size = draw(st.integers(1, 200))
    cuts = sorted({0, size, *draw(st.lists(st.integers(1, size), max_size=8))})
    pieces = list(itertools.pairwise(cuts))
    again = draw(st.lists(st.tuples(st.integers(0, size), st.integers(0, size)), max_size=6))
    order = []
    waiting = list(pieces)
    while waiting:  # the next that is missing, or one that overtakes it within the window of 2
        order.append(waiting.pop(draw(st.integers(0, min(1, len(waiting) - 1)))))
    for start, end in again:
        order.insert(draw(st.integers(0, len(order))), (min(start, end), max(start, end)))
    return size, order


@settings(max_examples=150, deadline=None)
@given(arrival=arrivals())
def test_any_arrival(tmp_path_factory, arrival):
    """Pieces in any order within the window, twice, overlapping: the file is exact; no acknowledgement goes back."""
    size, order = arrival
    with Landing(tmp_path_factory.getbasetemp() / "any") as landing:
        row = receiving(landing, size)
        acknowledged = [take(row, *piece) for piece in order]
        assert sorted(acknowledged) == acknowledged
        while not row.ready:  # what did not fit into the window is sent again, from where the kernel stands
            before = row.received
            assert take(row, before, min(before + 7, size)) > before
        assert DATA[:size] == content(row)
        row.give_up()
        assert [] == landed_in(landing.folder)
