"""The command line: ``python -m tests.faults.bugs [NUMBER ...]``: each bug is planted, and its tests must turn red.

A bug is a patch beside this file. Before its first hunk stands what is broken, which promise that breaks, and two
lines for this program::

    Group: pytest tests/test_session.py -k setting    the tests that must notice
    Shows: assert [] == ['api_key']                   what they say then, so that no other failure counts

A bug is planted in a copy of the checkout, so the checkout stays as it is. Each group first runs without any bug.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]
MODULES = Path("tests", "js", "node_modules")
LONGEST = 120  # seconds after which a group hangs, which is not what is wanted of it


@dataclass(frozen=True)
class Bug:
    """One patch, and what stands before its first hunk."""

    patch: Path
    group: str
    shows: str

    @classmethod
    def read(cls, patch: Path) -> Bug:
        """Read the two lines that this program needs."""
        lines = patch.read_text("utf-8").splitlines()
        group, shows = (
            next(line.removeprefix(word) for line in lines if line.startswith(word)) for word in ("Group: ", "Shows: ")
        )
        return cls(patch, group, shows)

    @property
    def name(self) -> str:
        """Its number and a word for it."""
        return self.patch.stem


def bugs() -> list[Bug]:
    """Return all bugs, in the order of their numbers."""
    return [Bug.read(patch) for patch in sorted(HERE.glob("*.patch"))]


@contextmanager
def planted(bug: Bug | None) -> Iterator[Path]:
    """Make a copy of the checkout as it lies here, with `bug` in it; None plants nothing."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory(prefix="bug-") as folder:
        copy = Path(folder)
        for name in filter(None, names.split("\0")):
            if (CHECKOUT / name).exists():  # not one that was removed and is still listed
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, copy / name)
        if (CHECKOUT / MODULES).exists():  # for ESLint, whose plugins are where its configuration is
            (copy / MODULES).symlink_to(CHECKOUT / MODULES)
        if bug is not None:
            subprocess.run(["git", "apply", bug.patch], cwd=copy, check=True)
        yield copy


def run(group: str, bug: Bug | None = None) -> tuple[str, str]:
    """Run a group of tests, with `bug` planted; return what came of it, and what the tests said.

    It is ``green``; ``red`` if the tests failed and said what the bug's patch says they would; else ``broken``.
    """
    program, *arguments = shlex.split(group)
    command = {"pytest": [sys.executable, "-m", "pytest"], "python": [sys.executable]}.get(program, [program])
    # A group has its few trials, however many this run has.
    env = {name: value for name, value in os.environ.items() if name not in {"NBFILES_TRIALS", "NBFILES_SEED"}}
    with planted(bug) as copy:
        try:
            ended = subprocess.run(
                [*command, *arguments],
                check=False,
                cwd=copy,
                env=env | {"PYTHONPATH": os.fspath(copy)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=LONGEST,
            )
        except subprocess.TimeoutExpired:
            return "broken", f"still running after {LONGEST} s"
    if ended.returncode == 0:
        return "green", ended.stdout
    # 1: a test failed. Anything else: there is no such test, or no such program.
    noticed = ended.returncode == 1 and bug is not None and bug.shows in ended.stdout
    return "red" if noticed else "broken", ended.stdout


def check(chosen: list[Bug]) -> bool:
    """Run the groups of `chosen`, without and with their bugs, and print a table; return whether each was noticed."""
    runs = [("(none)", group, None, "green") for group in dict.fromkeys(bug.group for bug in chosen)]
    runs += [(bug.name, bug.group, bug, "red") for bug in chosen]
    wrong = 0
    print(f"{'bug':24} {'is':6} {'s':>5}  group", flush=True)
    for name, group, bug, wanted in runs:
        began = time.monotonic()
        came, said = run(group, bug)
        print(f"{name:24} {came:6} {time.monotonic() - began:>5.1f}  {group}", flush=True)
        if came != wanted:
            wrong += 1
            print(f"{said[-4000:]}\n{name}: this should be {wanted}", flush=True)
    return not wrong


def main() -> None:
    """Check the bugs that are named by their numbers, or all; exit with 1 unless the suite noticed every one."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.bugs", description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="nothing: all")
    numbers = parser.parse_args().numbers
    every = dict(enumerate(bugs(), 1))
    raise SystemExit(not check([every[number] for number in numbers or every]))


if __name__ == "__main__":
    main()
