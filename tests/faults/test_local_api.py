"""The local Files API under fire: a tenth of the trials, or all with ``NBFILES_TRIALS=full``."""

from __future__ import annotations

import os

import pytest

from .local_trace import Trace, calls_in
from .report import problems, table
from .rows import ROWS
from .trials import first_seed, run


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [name for name, each in ROWS.items() if each.asked and name.startswith("L")])
def test_row(name):
    """No trial of a row breaks a promise, and none is left out."""
    records = list(run(ROWS[name], range(first := first_seed(), first + ROWS[name].asked)))
    print(table(records))
    assert [] == problems(records, {name: ROWS[name].asked})


def test_trace_is_missing(monkeypatch):
    """A row that needs strace fails where there is none, and says how to have it."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AssertionError, match="apt-get install strace"):
        Trace([os.getpid()], "fsync")


def test_calls_of_two_threads():
    """A call during which another thread is seen lasts from its first line to its last."""
    seen = """\
11 fsync(9</x/incoming/a-0> <unfinished ...>
12 sendto(7<socket:[1]>, "HTTP/1.1 200 OK", 15, 0, NULL, 0) = 15
11 <... fsync resumed>)                    = 0
11 +++ exited with 0 +++
"""
    fsync = ("fsync", "9</x/incoming/a-0> )                    = 0", 0, 2)
    sendto = ("sendto", '7<socket:[1]>, "HTTP/1.1 200 OK", 15, 0, NULL, 0) = 15', 1, 1)
    assert [sendto, fsync] == calls_in(seen)
