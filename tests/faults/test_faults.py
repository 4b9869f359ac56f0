"""Every row of the fault matrix: a tenth of its trials, or all with ``NBFILES_TRIALS=full``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from .__main__ import main
from .report import problems, table
from .rows import ROWS
from .trials import Record, first_seed, run

MATRIX = {
    *(f"N{number}" for number in range(1, 16)),
    *(f"F{number}" for number in range(1, 7)),
    "K1",
    "K2",
    "K5",
    "leaks",
}
OURS = ("N", "F", "K", "leaks")  # the local API's rows and the ledger's have tests of their own


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [name for name, each in ROWS.items() if each.asked and name.startswith(OURS)])
def test_row(name):
    """No trial of a row breaks a promise, and none is left out."""
    records = list(run(ROWS[name], range(first := first_seed(), first + ROWS[name].asked)))
    print(table(records))
    assert [] == problems(records, {name: ROWS[name].asked})


def test_the_matrix_is_whole():
    """Every row of the matrix is there."""
    assert set() == MATRIX - set(ROWS)


def test_too_few_trials_are_a_problem():
    """A row that ran less often than it was asked to is reported, and so is one that did not run at all."""
    records = [Record("N1", 1, "found", 1.0), Record("N2", 1, "AssertionError", 1.0, "why", failed=True)]
    assert [
        "N1: 1 trials were run, 2 were asked for",
        "N3: 0 trials were run, 1 were asked for",
        "N2: seed 1: AssertionError\nwhy",
    ] == problems(records, {"N1": 2, "N2": 1, "N3": 1})


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
