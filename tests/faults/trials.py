"""``Row``: one kind of fault, a trial of it as a function, and how many trials it takes to believe the result.

::

    @row("N1", full=1000, ci=100)
    def lost_after_store(trial):
        ...                         an assertion that fails is a failed trial
        return "found"              the outcome, counted by the report

A trial is decided by its seed alone: take chance from `Trial.random` and kinds from `Trial.case`. Seeds of a run are
consecutive, so that kinds come equally often.
"""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

T = TypeVar("T")
FULL = os.environ.get("NBFILES_TRIALS") == "full"


@dataclass
class Trial:
    """One trial: its seed, what chance makes of it, and an empty folder of its own.

    Attributes
    ----------
    shared : Any
        What the row's `around` made for all its trials.
    temporary : pathlib.Path
        Where this process makes temporary files during the trial.
    """

    seed: int
    folder: Path
    shared: Any = None
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()

    def case(self, cases: Sequence[T]) -> T:
        """Return one of `cases`, by turns."""
        return cases[self.seed % len(cases)]


@dataclass(frozen=True)
class Row:
    """One row of the fault matrix.

    Parameters
    ----------
    name : str
    full, ci : int
        How many trials a run at full length has, and one in continuous integration.
    trial : callable
    around : callable
        Returns a context manager: what all trials of the row share.
    """

    name: str
    full: int
    ci: int
    trial: Callable[[Trial], str]
    around: Callable[[], AbstractContextManager[Any]]

    @property
    def asked(self) -> int:
        """How many trials this run must have."""
        return self.full if FULL else self.ci


@dataclass(frozen=True)
class Record:
    """What came of one trial; `failed` says whether a promise was broken."""

    row: str
    seed: int
    outcome: str
    ms: float
    detail: str = ""
    failed: bool = False


ROWS: dict[str, Row] = {}


def row(
    name: str, *, full: int, ci: int, around: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
) -> Callable[[Callable[[Trial], str]], Callable[[Trial], str]]:
    """Register a function as the trial of a row."""

    def register(trial: Callable[[Trial], str]) -> Callable[[Trial], str]:
        assert name not in ROWS, f"{name} is there twice"
        ROWS[name] = Row(name, full, ci, trial, around)
        return trial

    return register


def first_seed() -> int:
    """Return where the seeds of a run begin: ``NBFILES_SEED``, or anywhere."""
    return int(os.environ.get("NBFILES_SEED") or random.SystemRandom().randrange(10**9))


def run(this: Row, seeds: Sequence[int]) -> Iterator[Record]:
    """Run a trial for each of `seeds`, and yield what came of it; and of what is around them all, if that failed."""
    before = tempfile.tempdir
    try:
        with tempfile.TemporaryDirectory(prefix="faults-") as parent:
            Path(parent).chmod(0o711)  # a trial may drop its privileges
            tempfile.tempdir = tempfile.mkdtemp(prefix="around-", dir=parent)
            with this.around() as shared:
                for seed in seeds:
                    folder = Path(tempfile.mkdtemp(prefix=f"{seed}-", dir=parent))
                    folder.chmod(0o711)
                    yield _run_one(this, Trial(seed, folder, shared))
    except Exception as error:  # noqa: BLE001  # whatever it is, it belongs into the report
        yield _failed(Record(this.name, seeds[-1], "around all trials", 0.0), error)
    finally:
        tempfile.tempdir = before


def _run_one(this: Row, trial: Trial) -> Record:
    before, tempfile.tempdir = tempfile.tempdir, os.fspath(trial.temporary)
    began = time.monotonic()
    try:
        record = Record(this.name, trial.seed, this.trial(trial), 0.0)
    except Exception as error:  # noqa: BLE001  # as above
        record = _failed(Record(this.name, trial.seed, type(error).__name__, 0.0), error)
    finally:
        tempfile.tempdir = before
    return replace(record, ms=round((time.monotonic() - began) * 1000, 2))


def _failed(record: Record, error: Exception) -> Record:
    return replace(record, detail="".join(traceback.format_exception(error, chain=False)[-24:]), failed=True)
