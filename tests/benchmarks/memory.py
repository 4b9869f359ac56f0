"""``Peak``: the largest resident size of a process from now on (``VmHWM``, reset by ``clear_refs``; Linux only)."""

from __future__ import annotations

from pathlib import Path

MIB = 1 << 20


class Peak:
    """How far the peak memory of a process grows.

    Parameters
    ----------
    pid : int or "self", default "self"
        The process; it must be one's own user's.
    """

    def __init__(self, pid: int | str = "self") -> None:
        self._pid = pid
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
        self._baseline = peak(pid)

    def growth(self) -> int:
        """Return the bytes by which the peak has grown."""
        return peak(self._pid) - self._baseline


def peak(pid: int | str = "self") -> int:
    """Return the largest resident size since the last reset, in bytes; 0 of a process that has ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = status.partition("VmHWM:")[2].split()
    return int(found[0]) * 1024 if found else 0
