"""``FileBrowser``: the files of a workspace as a table in a cell, to search, sort, select, and act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbfiles import _render
from nbfiles._files import Files, default
from nbfiles._holders import holders
from nbfiles._models import FileId
from nbfiles._table import LISTED, file_table
from nbfiles.widget._assets import script, style
from nbfiles.widget._desk import LOOP
from nbfiles.widget._shelf import Shelf
from nbfiles.widget._shown import Shown, names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbfiles._session import Session
    from nbfiles._table import FileTable


class FileBrowser(Shown):
    """A table of all files: search, sort and select in the page; delete, download and bind what is selected.

    The rows are in the page and never in the saved notebook, which keeps a plain table of the newest. Whatever is
    deleted has been shown as a plan before: how many files, how much, which were not uploaded from here (they stay
    unless they are ticked), and which variables will hold dead ids.

    Parameters
    ----------
    files : Files or None, default None
        The client to ask; None takes the notebook's (``%files use``).

    Raises
    ------
    CredentialError
        If there is no key.

    Examples
    --------
    >>> import nbfiles
    >>> browser = nbfiles.FileBrowser()
    >>> browser.selected
    []
    """

    view = "nbf-browse"

    _esm = script("browser.js")
    _css = style("browser.css")

    def __init__(self, *, files: Files | None = None) -> None:
        self._files = files
        self._session().find()  # no key: say so here, not in the page
        self._shelf = Shelf(self._session, names, self, LOOP.get())
        super().__init__()
        self._shelf.start()

    @property
    def table(self) -> FileTable:
        """All files that are listed, as a DataFrame, the newest first; waits for the first listing.

        Raises
        ------
        Error
            If the files could not be listed.
        """
        self._shelf.wait()
        return self._table()

    @property
    def selected(self) -> list[FileId]:
        """The ids of the rows that are selected, in the order in which they were."""
        return [FileId.of(self._shelf.listing.files[number]) for number in self._shelf.selected]

    def select(self, ids: Iterable[str]) -> None:
        """Select the rows of `ids`, and no others; ids that are not listed are passed over."""
        self._shelf.wait()
        self._shelf.choose(frozenset(str(one) for one in ids))

    def refresh(self) -> None:
        """List the files anew; what was selected and is still there stays so in the page.

        Raises
        ------
        Error
            If the files could not be listed.
        """
        self._shelf.refresh()

    def close(self) -> None:
        """Stop what is under way, and take the browser out of the notebook."""
        shelf = getattr(self, "_shelf", None)  # none if there was no key
        if shelf is not None:
            shelf.close()
        super().close()

    # -- the shelf's listener; on its loop ---------------------------------------------------------------------------

    def listed(self) -> None:
        """Renew the table that a saved notebook shows."""
        self.publish(_nothing)

    def receive(self, message: dict[str, Any], buffers: Any) -> None:
        """Hand a message of the page to the shelf, on whatever thread it comes."""
        self._shelf.receive(message, buffers)

    def stand_in(self) -> _render.Piece:
        """Return the table of the newest files."""
        if self._shelf.listing.version:
            table = self._table()
            return _render.Piece(repr(table), table._repr_html_())
        error = self._shelf.error
        line = f"FileBrowser: {error}" if error else "FileBrowser: the files are being listed. As a table: "
        said = [line] if error else [line, _render.code("%files")]
        return _render.output(_render.element("p", *said, cls="nbf-foot"))

    def _table(self) -> FileTable:
        rows = self._shelf.listing.rows(holders(names()))
        headline = f"{_render.counted(len(rows), 'file')} · {_render.size(sum(row.size_bytes or 0 for row in rows))}"
        return file_table(rows, headline=headline, shown=LISTED, local=self._session().local)

    def _session(self) -> Session:
        return (self._files or default()).session


def _nothing() -> None:
    """Change nothing: the rows are in no trait."""
