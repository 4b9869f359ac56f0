"""``Watched``: a task of the engine's, of which somebody is told what comes of it, as soon as it comes.

The engine returns results when all is over, and none when a person stops it. Whoever must know what was done by then
(a deletion), or how far one task has come (a listing of many pages), stands beside the task and takes notes.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nbfiles._errors import Error
from nbfiles._models import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbfiles._client import Client
    from nbfiles._tasks import Task, Turn

T = TypeVar("T")


class Stage(enum.Enum):
    """What is told of a task that has no result yet."""

    BEGUN = "begun"


class HaltedError(Error):
    """What a task ends with that was not begun, because somebody halted its run."""


class Watched(Generic[T]):
    """A task that tells what comes of every attempt.

    Parameters
    ----------
    task : Task
        Does the work, and says when it may be repeated.
    tell : callable
        Gets `Stage.BEGUN` when an attempt begins, then its result or its `Error`; called on a worker's thread.
    halted : callable, optional
        Whether nothing is to be begun any more.
    """

    def __init__(
        self,
        task: Task[T],
        tell: Callable[[T | Error | Stage], object],
        halted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name, self.size, self.timeout = task.name, task.size, task.timeout
        self._task, self._tell, self._halted = task, tell, halted

    def attempt(self, client: Client, turn: Turn) -> T:
        """Try once.

        Raises
        ------
        HaltedError
            If it is too late to begin.
        """
        if self._halted():
            raise HaltedError("it was not begun any more")
        self._tell(Stage.BEGUN)
        try:
            result = self._task.attempt(client, turn)
        except Error as error:
            self._tell(error)
            raise
        self._tell(result)
        return result

    def may_repeat(self, error: Error) -> bool:
        """Whether trying again can do no harm, as the task knows."""
        return self._task.may_repeat(error)

    def close(self) -> None:
        """Let go of what the task keeps."""
        self._task.close()


class Paged(Watched[T]):
    """A task that asks for pages, and counts them.

    Attributes
    ----------
    files : int
        In the pages that have come, of the latest attempt.
    requests : int
        Pages that were asked for, of all attempts.
    """

    def __init__(self, task: Task[T]) -> None:
        super().__init__(task, lambda _: None)
        self.files = self.requests = 0

    def attempt(self, client: Client, turn: Turn) -> T:
        """Try once, from the first page on."""
        self.files = 0
        return super().attempt(_Counting(client, self), turn)  # type: ignore[arg-type]  # it has all that a client has


class _Counting:
    """A client that counts its pages."""

    def __init__(self, client: Client, count: Paged[Any]) -> None:
        self._client, self._count = client, count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def page(self, cursor: Mapping[str, str], **options: Any) -> Page:
        """Fetch a page."""
        return Page.parse(self.unread_page(cursor, **options))

    def unread_page(self, cursor: Mapping[str, str], **options: Any) -> object:
        """Fetch the JSON of a page."""
        self._count.requests += 1
        body = self._client.unread_page(cursor, **options)
        self._count.files += Page.count(body)
        return body
