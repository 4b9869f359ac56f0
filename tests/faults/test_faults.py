"""Every row of the fault matrix: a tenth of its trials, or all with ``NBFILES_TRIALS=full``."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from workbench import becomes

from . import calls, network, server
from .__main__ import main
from .report import problems, table
from .rows import ROWS
from .server import FaultServer, Step
from .trials import Record, Row, first_seed, run

# What the matrix asks for: trials, or kinds and trials of each.
MATRIX = {
    "N1": 1000, "N2": 1000, "N3": 300, "N4": 300, "N5": 300, "N6": 8 * 25, "N7": 10 * 50, "N8": 12 * 25, "N9": 200,
    "N10": 2000, "N11": 9 * 50, "N12": 6 * 20, "N12 stopped": 4 * 20, "N13": 8 * 10, "N14": 4 * 25, "N15": 2000 // 20,
    "F1": 6 * 100, "F2": 9 * 5, "F3": 50, "F4": 9 * 3, "F5": 50, "F6": 20_000, "K1": 500, "K2": 100, "K5": 200,
    "J1": 500, "leaks": 1000, "L1": 1000, "L2": 168, "L3": 100, "L3-calls": 52, "L3-disk": 1, "L4": 20, "L5": 300,
    "L6": 200, "L7": 5000 // 100,
}  # fmt: skip


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [name for name, each in ROWS.items() if each.asked and name[0] != "L"])
def test_row(name):
    """No trial of a row breaks a promise, and none is left out."""
    records = list(run(ROWS[name], range(first := first_seed(), first + ROWS[name].asked)))
    print(table(records))
    assert [] == problems(records, {name: ROWS[name].asked})


def test_the_matrix_is_whole():
    """Every row of the matrix is there, and at full length it has at least as many trials as the matrix asks for."""
    assert {} == {name: count for name, count in MATRIX.items() if name not in ROWS or ROWS[name].full < count}


def test_too_few_trials_are_a_problem():
    """A row that ran less often than it was asked to is reported, and so is one that did not run at all."""
    records = [Record("N1", 1, "found", 1.0), Record("N2", 1, "AssertionError", 1.0, "why", failed=True)]
    assert [
        "N1: 1 trials were run, 2 were asked for",
        "N3: 0 trials were run, 1 were asked for",
        "N2: seed 1: AssertionError\nwhy",
    ] == problems(records, {"N1": 2, "N2": 1, "N3": 1})


def _leak(what, trial, kept):
    match what:
        case "descriptor":
            kept.append(Path(os.devnull).open("rb"))  # noqa: SIM115  # this is the leak
        case "socket":
            kept.append(socket.socket())
        case "thread":
            thread = threading.Thread(target=(go_on := threading.Event()).wait)
            thread.close = go_on.set
            kept.append(thread)
            thread.start()
        case "file":
            (trial.temporary / "nbfiles-left").touch()
    return what


@pytest.mark.parametrize("what", ["descriptor", "socket", "thread", "file"])
def test_a_leak_is_a_problem(what, monkeypatch):
    """One thing that one of many trials leaves open, of whatever kind, is reported after them all."""
    kept = []
    monkeypatch.setattr(calls, "PATIENCE", 0.1)
    monkeypatch.setattr(network, "doors", nullcontext)
    leaky = Row("x", 3, 3, lambda trial: _leak(what if trial.seed == 1 else "", trial, kept), network._nothing_left)
    try:
        records = list(run(leaky, range(3)))
    finally:
        for each in kept:
            each.close()
    assert [False, False, False, True] == [record.failed for record in records]
    assert "around all trials" in problems(records, {"x": 3})[0]


def _asked(address):
    """Connect, send the head of an upload, and read nothing."""
    client = socket.create_connection(address)
    client.sendall(b"POST /v1/files HTTP/1.1\r\ncontent-length: 9\r\n\r\n")
    return client


@pytest.mark.parametrize("what", ["drip", "flood", "hang"])
def test_a_step_ends_with_its_server(what, monkeypatch):
    """A server that is closed in the middle of a step leaves no thread behind, though the client reads nothing."""
    monkeypatch.setattr(server, "LONGEST", 60.0)
    with FaultServer(Step("after_headers", what)) as faulty, _asked(faulty.address):
        faulty.wait_for(1)
        time.sleep(0.2)  # until a flood is full
        threads = faulty._threads
        faulty.close()
        assert [] == [thread for thread in threads if thread.is_alive()]


@pytest.mark.parametrize("what", ["drip", "flood"])
def test_a_step_ends_by_itself(what, monkeypatch):
    """A step that would go on for ever is over after a while, though nobody closes its server or reads anything."""
    monkeypatch.setattr(server, "LONGEST", 0.1)
    with FaultServer(Step("after_headers", what)) as faulty, _asked(faulty.address):
        faulty.wait_for(1)
        assert becomes([True, False], lambda: [thread.is_alive() for thread in faulty._threads], 10)


def test_a_seed_repeats_its_trial(tmp_path, monkeypatch, capsys):
    """The command line runs the very trial that a seed names, and writes it down as one line of JSON."""
    lines = []
    for out in (tmp_path / "one", tmp_path / "two"):
        monkeypatch.setattr(sys, "argv", ["faults", "N2", "--seed", "4711", "--out", str(out)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert 0 == ended.value.code, capsys.readouterr().out
        (line,) = Path(out).read_text(encoding="utf-8").splitlines()
        lines.append({name: value for name, value in json.loads(line).items() if name != "ms"})
    assert ("N2", 4711) == (lines[0]["row"], lines[0]["seed"])
    assert lines[0] == lines[1]
