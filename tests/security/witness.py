"""witness: an IPython extension that writes down whatever a kernel would give away to somebody who looks closely.

For every cell that fails: the exception in all the ways Python and IPython have to show one, and its pickle. For the
whole session: every logger from DEBUG on, every warning, and the arguments of the process and of its children. At the
end: what is found in the objects of the package that are alive.
"""

from __future__ import annotations

import gc
import getpass
import logging
import os
import pickle
import traceback
import warnings
from functools import partial
from pathlib import Path

from workbench import QUICK

from nbfiles import _credentials, _files

SEEN = Path("seen")
MODES = ("Minimal", "Plain", "Context", "Verbose")


def load_ipython_extension(shell) -> None:
    """Begin to watch."""
    SEEN.mkdir(exist_ok=True)
    logging.basicConfig(filename=SEEN / "log", level=logging.DEBUG, force=True)
    logging.captureWarnings(True)
    warnings.simplefilter("always")
    shell.events.register("post_run_cell", partial(_note, shell))
    _files.default().session.patience = QUICK


# A person would type it; it was in the environment for no longer than this.
typed = partial(str, os.environ.pop("TYPED", ""))


def login() -> None:
    """Have the key typed. In the same cell: a kernel puts a prompt of its own there before each."""
    getpass.getpass = lambda _prompt: typed()
    _credentials.login()


def _note(shell, result) -> None:
    error = result.error_in_exec or result.error_before_exec
    if error is None:
        return
    texts = [*_shown(shell, error), *_arguments()]
    seen = [text.encode("utf-8", "surrogateescape") for text in texts] + [_pickled(error)]
    (SEEN / f"failure-{result.execution_count:03}").write_bytes(b"\n".join(seen))


def _shown(shell, error: BaseException) -> list[str]:
    """Return `error` in every way of showing one."""
    return [
        str(error),
        repr(error),
        repr(vars(error)),
        "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()),
        *(_by_ipython(shell.InteractiveTB, error, mode) for mode in MODES),
    ]


def _by_ipython(formatter, error: BaseException, mode: str) -> str:
    before = formatter.mode
    formatter.set_mode(mode)
    try:
        return "\n".join(formatter.structured_traceback(type(error), error, error.__traceback__))
    finally:
        formatter.set_mode(before)


def _pickled(error: BaseException) -> bytes:
    try:
        return pickle.dumps(error)
    except (TypeError, AttributeError, pickle.PicklingError) as refused:  # of Python's own: a local class, a frame
        return repr(refused).encode()


def _arguments() -> list[str]:
    """Return the command lines of this process and of its children."""
    mine = os.getpid()
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            if mine in {parent, int(status.parent.name)}:
                found.append((status.parent / "cmdline").read_text())
        except OSError:  # it has ended
            continue
    return found


def inventory() -> int:
    """Write down how every object of the package that is alive shows itself and its attributes; return how many."""
    kept = [each for each in gc.get_objects() if str(type(each).__module__).startswith("nbfiles")]
    with (SEEN / "objects").open("w", encoding="utf-8", errors="surrogateescape") as file:
        for each in kept:
            file.write(f"{each!r}\n{getattr(each, '__dict__', {})!r}\n")
            file.writelines(f"{getattr(each, slot, None)!r}\n" for slot in getattr(type(each), "__slots__", ()))
    return len(kept)
