"""``Hands``: what a person does to an upload widget: choose files and folders, drag, drop, paste, press keys.

Files are real ones, named by their paths; the browser reads them from the disk itself, so hundreds of megabytes are
quick. Drags come from the browser's own input, so that a folder is a folder and every event is a trusted one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page


def walk_to(target: Locator) -> None:
    """Press Tab until `target` has the focus, wherever the application's own stops are."""
    target.wait_for()
    for _ in range(60):
        if target.evaluate("element => element === document.activeElement"):
            return
        target.page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {target}")


@dataclass
class Hands:
    """The hands of a person in front of one widget.

    Parameters
    ----------
    widget : Locator
        The widget's root, ``.nbf-up``.
    """

    widget: Locator

    @property
    def page(self) -> Page:
        """The page of the widget."""
        return self.widget.page

    @property
    def target(self) -> Locator:
        """The button that the drop area is."""
        return self.widget.locator(".hit")

    def choose(self, *paths: Path, key: str | None = None) -> None:
        """Click the target, or press `key` on it, and choose files in the browser's dialogue."""
        with self.page.expect_file_chooser() as dialogue:
            self.target.press(key) if key else self.target.click()
        dialogue.value.set_files(paths)

    def choose_folder(self, path: Path, key: str | None = None) -> None:
        """Click *Folder*, or press `key` on the target, and choose a folder in the browser's dialogue."""
        with self.page.expect_file_chooser() as dialogue:
            self.target.press(key) if key else self.widget.locator(".folder").click()
        dialogue.value.set_files(path)

    def drag(self, *paths: Path) -> None:
        """Drag files and folders over the target, and hold them there."""
        self.target.scroll_into_view_if_needed()
        for kind in ("dragEnter", "dragOver"):
            self._drag(kind, paths, *self._middle())

    def drag_away(self) -> None:
        """Drag what is held over the target out of it, into the corner of the page."""
        self._drag("dragOver", (), 0, 0)

    def drop(self, *paths: Path) -> None:
        """Drag files and folders over the target, and let them go."""
        self.drag(*paths)
        self._drag("drop", paths, *self._middle())

    def paste(self, *paths: Path, text: str = "") -> bool:
        """Paste where the focus is in the widget, else on the target; return whether the widget took it."""
        if not self.widget.locator(":focus").count():
            self.target.focus()
        # Only an input makes a File of a path, and only while it is in the page.
        source = self.page.evaluate_handle(
            """() => document.body.appendChild(
                Object.assign(document.createElement('input'), {type: 'file', multiple: true, hidden: true}))"""
        )
        source.set_input_files(paths)
        return source.evaluate(
            """(input, text) => {
                const clipboardData = new DataTransfer();
                for (const file of input.files) clipboardData.items.add(file);
                if (text) clipboardData.setData('text/plain', text);
                input.remove();
                const options = {clipboardData, bubbles: true, cancelable: true, composed: true};
                return !document.activeElement.dispatchEvent(new ClipboardEvent('paste', options));
            }""",
            text,
        )

    def press(self, *keys: str) -> None:
        """Press `keys` one after the other where the focus is."""
        for key in keys:
            self.page.keyboard.press(key)

    def _middle(self) -> tuple[float, float]:
        """Return where the middle of the target is in the page."""
        box = self.target.bounding_box()
        assert box is not None, "the target is not visible"
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def _drag(self, kind: str, paths: tuple[Path, ...], x: float, y: float) -> None:
        """Send one event of a drag of `paths`."""
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        session = self.page.context.new_cdp_session(self.page)
        session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
        session.detach()
