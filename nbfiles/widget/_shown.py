"""``Shown``: what a widget of ours is to a notebook: a view in the browser, and elsewhere a table that stands in."""

from __future__ import annotations

import contextvars
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
from traitlets import Unicode

from nbfiles import _render
from nbfiles._command import check_name
from nbfiles._errors import InputError
from nbfiles._holders import notebook_names

if TYPE_CHECKING:
    from collections.abc import Callable


class Shown(anywidget.AnyWidget):
    """A widget whose messages get past a running cell, and whose saved notebook is readable.

    Parameters
    ----------
    **traits
        Of the widget's own.
    """

    view: ClassVar[str] = ""  # the class of the view's element

    # What the browser's half reads. Metadata only: a synced trait is saved with the notebook.
    uid = Unicode(help="Names this widget in the page.").tag(sync=True)
    kernel = Unicode(help="The id by which the Jupyter server knows this kernel.").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._stand_ins = list[str]()  # display ids
        # The browser's answers go where we last published from (ipykernel 7), so we publish from where its latest
        # message came: in a subshell, if there is one, and then a running cell does not keep us waiting.
        self._context = contextvars.copy_context()
        self.on_msg(self._received)  # before the browser can know of it
        super().__init__(uid=secrets.token_hex(8), kernel=_kernel_id(), **traits)

    def send(self, content: Any, buffers: Any = None) -> None:
        """Send `content` to every page that shows the widget."""
        self._context.run(super().send, content, buffers)

    def publish(self, change: Callable[[], object]) -> None:
        """Have `change` done to what a saved notebook holds, and renew what stands in for the widget."""
        self._context.run(self._publish, change)

    def _publish(self, change: Callable[[], object]) -> None:
        with self.hold_sync():
            change()
        for display_id in self._stand_ins:
            _show(self._hidden_stand_in(), display_id, update=True)

    def receive(self, message: dict[str, Any], buffers: Any) -> None:
        """Take a message from the browser, on whatever thread it comes."""
        raise NotImplementedError

    def stand_in(self) -> _render.Piece:
        """Return what is shown where the widget cannot be: a saved or foreign notebook."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.stand_in().text

    def _received(self, _widget: object, content: Any, buffers: Any) -> None:
        self._context = contextvars.copy_context()
        if isinstance(content, dict):
            self.receive(content, buffers)

    def _ipython_display_(self) -> None:
        """Show the widget, and below it what stands in for it."""
        from IPython.display import display

        bundle = super()._repr_mimebundle_()  # data, or data with its metadata: it has changed once
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]  # theirs
        display_id = secrets.token_hex(8)
        _show(self._hidden_stand_in(), display_id)
        self._stand_ins.append(display_id)

    def _hidden_stand_in(self) -> _render.Piece:
        """Return the stand-in; where the live widget is shown in the same output, it is not needed."""
        piece = self.stand_in()
        style = f"<style>.jp-OutputArea:has(.{self.view}) .{self.view}-saved{{display:none}}</style>"
        return _render.Piece(piece.text, f'{style}<div class="{self.view}-saved">{piece.html}</div>')


def checked_name(bind: str | None) -> str | None:
    """Return the name that ids are to be bound to.

    Raises
    ------
    InputError
        If it cannot be bound, or there is no notebook to bind it in.
    """
    if bind is None:
        return None
    name = check_name(bind)
    names(needed=True)
    return name


def names(*, needed: bool = False) -> dict[str, Any]:
    """Return the notebook's namespace; an empty one where there is no notebook, unless it is `needed`."""
    found = notebook_names()
    if needed and not found:
        raise InputError("bind needs a notebook, whose name it binds", "Leave it out and read .value.")
    return found


def _kernel_id() -> str:
    """Return the id by which the Jupyter server that started this kernel knows it; ``""`` where there is no kernel."""
    if "ipykernel.kernelapp" not in sys.modules:  # importing it takes long
        return ""
    from ipykernel.connect import get_connection_file

    try:
        return Path(get_connection_file()).stem.removeprefix("kernel-")
    except RuntimeError:  # a program that has loaded ipykernel and runs no kernel
        return ""


def _show(piece: _render.Piece, display_id: str, *, update: bool = False) -> None:
    from IPython.display import display

    display({"text/plain": piece.text, "text/html": piece.html}, raw=True, display_id=display_id, update=update)  # type: ignore[no-untyped-call]  # theirs
