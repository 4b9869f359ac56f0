"""A fresh IPython shell in this process, with nothing of the person's own and nothing left in this process after it."""

from __future__ import annotations

import atexit
import contextlib
import io
import re
import sys
import types
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from nbfiles import _config, _files, _results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Ran:
    """What came of one cell: its last value, what it raised, and what it printed."""

    value: Any
    error: BaseException | None
    printed: str


class Shell:
    """A shell, as a person at a prompt sees it."""

    def __init__(self, folder: Path, config: Config | None = None) -> None:
        quiet = Config({"HistoryManager": {"enabled": False}})
        quiet.merge(config or Config())
        module = types.ModuleType("notebook")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # IPython's own, such as that another virtual environment is active
            self.ip = InteractiveShell(ipython_dir=str(folder), config=quiet, user_module=module)

    @property
    def names(self) -> dict[str, Any]:
        """The notebook's namespace."""
        return self.ip.user_ns

    def run(self, code: str) -> Ran:
        """Run a cell to its end, whichever that is."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            done = self.ip.run_cell(code)
        return Ran(done.result, done.error_in_exec or done.error_before_exec, _ANSI.sub("", out.getvalue()))

    def do(self, code: str) -> Any:
        """Run a cell that must succeed, and return its last value."""
        ran = self.run(code)
        assert None is ran.error, ran.printed
        return ran.value

    def complete(self, line: str) -> list[str]:
        """Return the lines that the Tab key makes of `line`, in the way front ends ask."""
        with provisionalcompleter():
            found = list(self.ip.Completer.completions(line, len(line)))
        return [f"{line[: each.start]}{each.text}{line[each.end :]}" for each in found]


@contextlib.contextmanager
def fresh_shell(folder: Path, config: Config | None = None) -> Iterator[Shell]:
    """Give a shell into which ``%load_ext nbfiles`` was typed; afterwards this process is as before."""
    before = (_config._shared, _files._State.files, _results._latest)
    main, hook = sys.modules["__main__"], sys.excepthook
    _config._shared = _files._State.files = _results._latest = None
    shell = Shell(folder, config)
    try:
        shell.do("%load_ext nbfiles")
        yield shell
    finally:
        shell.do("%unload_ext nbfiles")
        shell.ip.atexit_operations()
        atexit.unregister(shell.ip.atexit_operations)
        sys.modules["__main__"], sys.excepthook = main, hook
        sys.modules.pop("notebook", None)
        _config._shared, _files._State.files, _results._latest = before
