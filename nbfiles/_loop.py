"""``LoopThread``: an asyncio loop of our own, on a daemon thread, for what must go on while cells run.

The loop that runs the notebook is never borrowed: a cell blocks it, and re-entering it loses queued cells on
ipykernel 7.1 and later.
"""

from __future__ import annotations

import asyncio
import threading


class LoopThread:
    """A loop that is started when it is first needed, and again after a fork, which takes no thread along.

    Parameters
    ----------
    name : str
        Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which is running."""
        with self._lock:
            if self._running is None or not self._running[1].is_alive():
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=loop.run_forever, name=self._name, daemon=True)
                thread.start()
                self._running = (loop, thread)
            return self._running[0]
