"""Displays: those who watch a transfer's events and show them where we run.

``NotebookBar`` is one output that is updated in place and becomes the receipt, ``TextLine`` one line of a terminal,
``Silent`` shows nothing. All read the same ``Tally``, which turns events into figures and knows no display. They are
called on the thread that waits for the transfer, so none has a thread or a lock of its own.

What is shown never goes back, but for one reason: a file is being sent again from its start, and then the line says
so. There is no speed before there is one second of data, and no time left before there are two.
"""

from __future__ import annotations

import abc
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from nbfiles import _render
from nbfiles._events import Checking, Failed, Progress, Queued, Retrying

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbfiles._events import Event
    from nbfiles._receipt import Receipt
    from nbfiles._render import Piece

# What is over sooner than this never shows a bar: it would flash.
SHOWN_AFTER = 0.5
# Ten updates a second look like motion; more would only fill the notebook's channel.
BETWEEN_UPDATES = 0.1

_WINDOW = 3.0
_SPEED_AFTER = 1.0
_REST_AFTER = 2.0
# A speed of the last three seconds is not stretched over hours: such a figure would jump.
_LONGEST_REST = 24 * 3600


class Display(Protocol):
    """An observer that can be ended. One of `finish` and `clear` is called, once, when the transfer is over."""

    def __call__(self, event: Event) -> None:
        """Take note of `event`."""

    def tick(self) -> None:
        """Show the time go by where nothing happens: call it whenever a wait for the next event is over."""

    def finish(self, receipt: Receipt | None) -> None:
        """Replace what is shown by `receipt`; by nothing if it is None."""

    def clear(self) -> None:
        """Take away what is shown: an error follows."""


def observer(*, quiet: bool = False, count: Count | None = None) -> Display:
    """Return the display that suits where we run.

    Parameters
    ----------
    quiet : bool, default False
        Whether nothing is to be shown (``--quiet``).
    count : Count or None, default None
        What is counted, where it is not the bytes of uploads.

    Returns
    -------
    Display
        `NotebookBar` in a kernel (JupyterLab, VS Code, Colab, nbclient), `TextLine` in a terminal, else `Plain`.
    """
    if quiet:
        return Silent()
    if _in_kernel():
        return NotebookBar(figures=count)
    return TextLine(figures=count) if sys.stderr is not None and sys.stderr.isatty() else Plain()


def _in_kernel() -> bool:
    """Whether an IPython shell runs in a kernel. It is not imported to find out: a shell would have done so."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


# ---- figures ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Transfer:
    """Where one file stands: `sent` of `size` bytes, and `most`, the furthest it ever was."""

    name: str
    size: int
    sent: int = 0
    most: int = 0
    over: bool = False
    failed: bool = False
    reason: str = ""
    attempt: str = ""
    next_try: float = 0.0

    @property
    def dealt_with(self) -> int:
        """Bytes that need no more work: those sent, and all of a file that is over, whichever way."""
        return self.size if self.over else min(self.sent, self.size)


class Tally:
    """The figures of one call: how many files, how far, how fast, how long still.

    Parameters
    ----------
    clock : callable, default time.monotonic
        The time in seconds; a test gives its own.

    Attributes
    ----------
    fraction : float
        How much is done, from 0 to 1. It falls only when a file begins again.
    """

    label = "Upload"  # what a screen reader calls the bar

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._transfers: dict[int, _Transfer] = {}
        self._over = self._size = self._dealt_with = self._moved = 0
        self._samples: deque[tuple[float, int]] = deque()
        self.fraction = 0.0

    def __call__(self, event: Event) -> None:
        """Take note of `event`. The totals are kept and not added up: a call may have thousands of files."""
        transfer = self._transfers.setdefault(event.transfer, _Transfer("", 0))
        size, dealt_with, over = transfer.size, transfer.dealt_with, transfer.over
        rewound = isinstance(event, Progress) and event.sent < transfer.sent
        self._note(transfer, event)
        self._size += transfer.size - size
        self._dealt_with += transfer.dealt_with - dealt_with
        self._over += transfer.over - over
        now = self._dealt_with / self._size if self._size else self._over / len(self._transfers)
        self.fraction = now if rewound else max(now, self.fraction)

    def _note(self, transfer: _Transfer, event: Event) -> None:
        if isinstance(event, Queued):
            transfer.name, transfer.size = event.name, event.size
        elif isinstance(event, Progress):
            self._moved += max(event.sent - transfer.sent, 0)
            self._samples.append((self._clock(), self._moved))
            transfer.sent, transfer.size, transfer.reason = event.sent, event.size, ""
            transfer.most = max(transfer.most, event.sent)
        elif isinstance(event, Checking):
            transfer.reason, transfer.attempt = "no answer came back; checking whether the file arrived", ""
            transfer.next_try = self._clock()
        elif isinstance(event, Retrying):
            transfer.reason, transfer.attempt = event.reason, f"({event.attempt} of {event.attempts})"
            transfer.next_try = self._clock() + event.delay
        else:
            transfer.over, transfer.failed, transfer.reason = True, isinstance(event, Failed), ""

    @property
    def speed(self) -> float | None:
        """Bytes a second, the mean of the last 3 seconds; None if nothing moved, and before one second of data."""
        elapsed, moved = self._lately()
        return moved / elapsed if elapsed >= _SPEED_AFTER and moved else None

    @property
    def rest(self) -> float | None:
        """Seconds left at this speed; None before there are two seconds of data, and where it cannot be told."""
        elapsed, moved = self._lately()
        if elapsed < _REST_AFTER or not moved:
            return None
        rest = (self._size - self._dealt_with) * elapsed / moved
        return rest if 0 < rest < _LONGEST_REST else None

    def _lately(self) -> tuple[float, int]:
        """Return the seconds that are looked back on, about 3 at most, and the bytes that moved in them."""
        now = self._clock()
        while len(self._samples) > 1 and self._samples[1][0] <= now - _WINDOW:
            self._samples.popleft()
        if not self._samples:
            return 0.0, 0
        began, before = self._samples[0]
        # The oldest sample may be a little older than the window; after a pause it would stretch it out of all measure.
        return min(now - began, _WINDOW + 1), self._moved - before

    def line(self) -> Piece:
        """Say where it stands: ``3 of 12 files · 41.2 MB/s · 8 s left``, and why it waits if it does."""
        running = [transfer for transfer in self._transfers.values() if not transfer.over]
        held = [transfer for transfer in running if transfer.reason]
        answer = bool(running) and all(transfer.sent >= transfer.size > 0 for transfer in running)
        parts: list[Piece | str] = [self._count()]
        failed = sum(transfer.failed for transfer in self._transfers.values())
        if failed:
            parts.append(f"{failed:,} failed")
        if not answer and len(held) < len(running):
            parts += self._pace()
        if held:
            parts.append(self._next_try(held))
        elif answer:
            parts.append("all sent, waiting for the answer")
        again = [transfer for transfer in running if not transfer.reason and transfer.sent < transfer.most]
        if again:
            said = _render.piece("sent again from its start")
            parts.append(_render.code(again[0].name) + " " + said if len(self._transfers) > 1 else said)
        return _render.dotted(parts)

    def _count(self) -> Piece:
        if len(self._transfers) == 1:
            return _render.code(next(iter(self._transfers.values())).name)
        return _render.piece(f"{self._over:,} of {_render.counted(len(self._transfers), 'file')}")

    def _pace(self) -> list[str]:
        speed, rest = self.speed, self.rest
        said = [] if speed is None else [f"{_render.size(round(speed))}/s"]
        return said if rest is None else [*said, _render.remaining(rest)]

    def _next_try(self, held: list[_Transfer]) -> str:
        first = min(held, key=lambda transfer: transfer.next_try)
        if not first.attempt:
            return first.reason
        delay = first.next_try - self._clock()
        when = f"next try in {max(round(delay), 1)}{_render.NO_BREAK}s" if delay > 0 else "trying again"
        return f"{first.reason}, {when} {first.attempt}"


class Count:
    """The figures of a call that sends no files: how many there are so far, of how many.

    Parameters
    ----------
    done : str
        What has been done to them: ``"listed"``.
    so_far : callable
        Returns how many; asked whenever it is time to draw.
    total : int or None, default None
        Of how many; None where nobody knows.
    """

    def __init__(self, done: str, so_far: Callable[[], int], total: int | None = None) -> None:
        self._done, self._so_far, self._total = done, so_far, total
        self.label = f"Files {done}"

    def __call__(self, event: Event) -> None:
        """Take no note: whoever counts is asked."""

    @property
    def fraction(self) -> float | None:
        """How much is done, from 0 to 1; None where it cannot be told."""
        return self._so_far() / self._total if self._total else None

    def line(self) -> Piece:
        """Say it: ``3,000 files listed``, ``3 of 12 files deleted``."""
        count = self._so_far()
        if self._total is None:
            return _render.piece(f"{_render.counted(count, 'file')} {self._done}")
        return _render.piece(f"{count:,} of {_render.counted(self._total, 'file')} {self._done}")


# ---- displays --------------------------------------------------------------------------------------------------------


class Silent:
    """Show nothing."""

    def __call__(self, event: Event) -> None:
        """Take no note."""

    def tick(self) -> None:
        """Do nothing."""

    def finish(self, receipt: Receipt | None) -> None:
        """Show nothing."""

    def clear(self) -> None:
        """Take nothing away."""


class Plain(Silent):
    """Show no progress; print the receipt. For output that goes into a file or a pipe."""

    def finish(self, receipt: Receipt | None) -> None:
        """Print the text of `receipt`."""
        if receipt is not None:
            print(repr(receipt))  # what the person asked for


class _Timed(abc.ABC):
    """What displays have in common: figures, and when it is time to draw.

    Parameters
    ----------
    clock : callable, default time.monotonic
        The time in seconds; a test gives its own.
    figures : Tally or Count or None, default None
        None makes a `Tally`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, figures: Tally | Count | None = None) -> None:
        self._clock = clock
        self._tally = figures or Tally(clock)
        self._next = clock() + SHOWN_AFTER
        self._ended = False

    def __call__(self, event: Event) -> None:
        """Take note of `event`, and show it if it is time."""
        self._tally(event)
        self.tick()

    def tick(self) -> None:
        """Draw, if the last time is long enough ago."""
        if not self._ended and self._clock() >= self._next:
            self._next = self._clock() + BETWEEN_UPDATES
            self._draw()

    @abc.abstractmethod
    def _draw(self) -> None:
        """Show the tally as it is."""


class NotebookBar(_Timed):
    """One output of the cell, updated in place: a bar and a line, then the receipt.

    Parameters
    ----------
    clock : callable, default time.monotonic
        The time in seconds; a test gives its own.
    figures : Tally or Count or None, default None
        None makes a `Tally`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, figures: Tally | Count | None = None) -> None:
        super().__init__(clock, figures)
        self._handle: Any = None

    def finish(self, receipt: Receipt | None) -> None:
        """Replace the bar by `receipt`, or display it if no bar was shown."""
        self._ended = True
        if receipt is not None:
            self._show(receipt._repr_mimebundle_())
        else:
            self.clear()

    def clear(self) -> None:
        """Empty the output; one that was never shown is not made."""
        self._ended = True
        if self._handle is not None:
            self._show({"text/plain": "", "text/html": ""})

    def _draw(self) -> None:
        drawn = _bar(self._tally)
        self._show({"text/plain": drawn.text, "text/html": drawn.html})

    def _show(self, bundle: dict[str, str]) -> None:
        if self._handle is None:
            from IPython.display import display

            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # IPython has no types
        else:
            self._handle.update(bundle, raw=True)


def _bar(tally: Tally | Count) -> Piece:
    done = tally.fraction
    line = _render.element("p", tally.line())
    if done is None:  # of nobody knows how many: a bar would tell a lie
        return _render.output(_render.element("div", line, cls="nbf-progress"))
    part = _render.element("i", style=f"--sent:{done:.4f}")
    bar = _render.element(
        "div",
        part,
        cls="nbf-bar",
        role="progressbar",
        aria_label=tally.label,
        aria_valuemin="0",
        aria_valuemax="100",
        aria_valuenow=f"{int(done * 100)}",
    )
    return _render.output(_render.element("div", line, bar, cls="nbf-progress"))


class TextLine(_Timed):
    """One line of a terminal, drawn by tqdm on standard error, then the receipt's text.

    Parameters
    ----------
    clock : callable, default time.monotonic
        The time in seconds; a test gives its own.
    figures : Tally or Count or None, default None
        None makes a `Tally`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, figures: Tally | Count | None = None) -> None:
        super().__init__(clock, figures)
        self._line: Any = None

    def finish(self, receipt: Receipt | None) -> None:
        """Replace the line by the text of `receipt`."""
        self.clear()
        if receipt is not None:
            print(repr(receipt), file=sys.stderr)

    def clear(self) -> None:
        """Wipe the line."""
        self._ended = True
        if self._line is not None:
            self._line.close()
            self._line = None

    def _draw(self) -> None:
        if self._line is None:
            self._line = _tqdm(measured=self._tally.fraction is not None)
        self._line.n = self._tally.fraction or 0.0
        self._line.set_description_str(self._tally.line().text)


def _tqdm(*, measured: bool) -> Any:
    """Make a line of tqdm that shows our words. Its monitor thread is left out: nothing may outlive the transfer."""
    from tqdm import tqdm

    line = type("Line", (tqdm,), {"monitor_interval": 0})
    # Of tqdm's own figures only the percentage: the others are in ours.
    form = "{percentage:3.0f}% |{bar:24}| {desc}" if measured else "{desc}"
    return line(total=1.0, bar_format=form, file=sys.stderr, leave=False, dynamic_ncols=True)
