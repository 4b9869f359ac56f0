"""J1: two kernels that share a ledger and are killed while they write into it."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from test_ledger import kernel, locks
from workbench import becomes

from nbfiles._ledger import Ledger

from .trials import row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .trials import Trial

WRITES = """
say("ready")
input()
account.begin(name="rival", mime_type="t", size=1)
say("rival")
turn = 0
while True:
    turn += 1
    name = f"{sys.argv[2]}_{turn}"
    number = account.begin(name=name, mime_type="t", size=2)
    say(name, "begun")
    if turn % 4 == 0:
        account.drop(number)
        say(name, "dropped")
    elif turn % 4 == 1:
        account.unknown(number)
        say(name, "unknown")
    elif turn % 4 == 2:
        account.adopt(known(name), number)
        say(name, "stored")
    else:
        account.record(known(name), number)
        say(name, "stored")
"""


@contextmanager
def _busy() -> Iterator[list[int]]:
    """See that the kernels of many trials did write something before they were killed."""
    stored: list[int] = []
    yield stored
    assert len(stored) < 20 or sum(stored) > len(stored), "the kernels hardly wrote: this proves nothing"


@row("J1", full=500, ci=50, around=_busy)
def killed_while_writing(trial: Trial) -> str:
    """Kernels that are killed while they write leave all that they were told is written, and in order."""
    path, said = trial.folder / "ledger" / "ledger.sqlite", [trial.folder / me for me in "ab"]
    with ExitStack() as ended:
        kernels = []
        for file in said:
            with file.open("wb") as out:
                kernels.append(ended.enter_context(kernel(path, WRITES, file.name, stdout=out)))
            ended.callback(kernels[-1].kill)
        for process, file in zip(kernels, said, strict=True):
            assert becomes("ready\n", file.read_text, 20)
            process.stdin.write("\n")
            process.stdin.flush()
        time.sleep(trial.random.uniform(0, 0.06))
        stored = 0
        for living, (process, file) in zip((1, 0), zip(kernels, said, strict=True), strict=True):
            process.kill()
            process.wait()
            assert becomes(True, lambda: living == 0 or "rival" in said[1].read_text(), 20)  # noqa: B023  # called at once
            stored += _in_order(path, file.name, file.read_text(), living)
    assert [path] == list(path.parent.iterdir())
    trial.shared.append(stored)
    return "killed while writing" if stored else "killed before anything was stored"


def _in_order(path: Path, me: str, said: str, living: int) -> int:
    """Look at what a killed kernel left, while `living` others write; return how many files it had stored."""
    last = dict(line.split() for line in said.splitlines() if " " in line)
    stored = {name for name, what in last.items() if what == "stored"}
    unclosed = {name for name, what in last.items() if what in {"begun", "unknown"}}
    # Done or not is only what it was doing when it died: something with its latest, or beginning the one after.
    in_doubt = {f"{me}_{len(last)}", f"{me}_{len(last) + 1}"}
    with closing(Ledger(path)) as ledger:
        account = ledger.account("p", "k")
        assert stored == account.taken(stored)
        waiting = [it.name for it in account.pending()]
        pending = {name for name in waiting if name.startswith(f"{me}_")}
        assert set() == (pending ^ unclosed) - in_doubt
        assert set() == pending & account.taken(pending)  # each has the id that is its name
        mine = account.begin(name="rival", mime_type="t", size=1)
        assert living == account.rivals(mine) - waiting.count("rival")  # those of the dead are pending
        assert 1 + living == len(locks(path))
        checked = ledger.run(lambda read: read.execute("PRAGMA integrity_check").fetchall())
        assert ([("ok",)], "") == (checked, ledger.note)
    return len(stored)
