"""P11: what ``%load_ext nbfiles`` costs a kernel that is up, against ``import httpx`` in another, each time a new one.

The least of many is taken: an import does the same every time, and whatever is above the least is somebody else's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .report import Row, row

if TYPE_CHECKING:
    from .measure import Bench

TIMES = 20
# The shell is the kernel's own class; its history would open a file.
_SHELL = """
import sys, time, warnings
import ipykernel.kernelapp
from ipykernel.zmqshell import ZMQInteractiveShell
from traitlets.config import Config
shell = ZMQInteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
def timed(work):
    start = time.perf_counter()
    work()
    print(1000 * (time.perf_counter() - start))
"""
_LOAD = _SHELL + "timed(lambda: shell.run_line_magic('load_ext', 'nbfiles'))"
_HTTPX = _SHELL + "timed(lambda: __import__('httpx'))"
# What others have to be imported for it is there already, so this is what our own modules cost.
_AGAIN = """
for name in [name for name in sys.modules if name.partition(".")[0] == "nbfiles"]:
    del sys.modules[name]
warnings.simplefilter("ignore")  # pandas, whose accessor is registered again
"""
_FACE = f"{_SHELL}import nbfiles{_AGAIN}timed(lambda: __import__('nbfiles'))"
_VERBS = f"{_SHELL}import nbfiles; nbfiles.upload{_AGAIN}timed(lambda: __import__('nbfiles').upload)"


def rows(bench: Bench, times: int = TIMES) -> list[Row]:
    """Measure P11."""
    programs = {"load": _LOAD, "httpx": _HTTPX} | ({} if bench.short else {"import": _FACE, "upload": _VERBS})
    least = dict.fromkeys(programs, float("inf"))
    for _ in range(times):
        for name, program in programs.items():
            least[name] = min(least[name], float(bench.run("-c", program)))
    load, httpx = least["load"], least["httpx"]
    ratio = row(f"P11 %load_ext nbfiles, {load:.1f} ms / import httpx, {httpx:.1f} ms", load / httpx, "x", most=0.3)
    if bench.short:
        return [ratio]
    return [
        ratio,
        row("P11 import nbfiles, dependencies imported before", least["import"], "ms"),
        row("P11 and up to nbfiles.upload, likewise", least["upload"], "ms"),
    ]
