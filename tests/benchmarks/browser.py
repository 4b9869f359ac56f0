"""The file browser at 50,000 files, in a real JupyterLab: how long until it shows them, and what keeps the page busy.

Timed are the cell until the first row, and the longest task of the page (Chromium's *long tasks*, of 50 ms and more)
while one searches, sorts, selects all, scrolls and refreshes. The files come from a server on loopback that answers at
once, so what is timed is ours: fetching, parsing, packing, unpacking and drawing.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "ui"))

from lab import Lab, chromium, lab_server, local_environment
from test_browser import BROWSER, MANY, others
from upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

GOAL = 200  # ms
PAUSE = 600  # ms: what a click has set off is over by then
# Chromium reports tasks of 50 ms and more.
_WATCH = """() => {
    window.long = [];
    new PerformanceObserver(list => window.long.push(...list.getEntries().map(entry => entry.duration)))
        .observe({entryTypes: ['longtask']});
}"""
_HEADS = ("Name", "Size", "Block", "Variable", "Created", "Expires")


def rows(*, verify: bool, repeat: int) -> list[dict[str, Any]]:
    """Measure; return a row for each figure, with its goal and whether it is met. `verify` counts what is found."""
    shown, longest = list[float](), dict[str, list[float]]()
    with tempfile.TemporaryDirectory() as folder, Upstream() as upstream, chromium() as browser:
        upstream.files = others(MANY)
        root = Path(folder) / "notebooks"
        root.mkdir()
        with lab_server(root, **local_environment(Path(folder) / "files")) as url:
            lab = Lab(url, root, browser)
            for _ in range(repeat):
                seconds, tasks = _once(lab, upstream, verify=verify)
                shown.append(seconds)
                for what, longest_of_it in tasks.items():
                    longest.setdefault(what, []).append(longest_of_it)
    found = [{"what": f"FileBrowser, {MANY:,} files: cell run to first row", "value": statistics.median(shown)}]
    found[0] |= {"unit": "s", "goal": "-"}
    for what, values in longest.items():
        median = statistics.median(values)
        row = {"what": f"  longest task, {what}", "value": median, "unit": "ms"}
        found.append(row | {"goal": f"<= {GOAL}", "met": median <= GOAL})
    return found


def _once(lab: Lab, upstream: Upstream, *, verify: bool) -> tuple[float, dict[str, float]]:
    """Return the seconds until the first row is there, and the longest task in ms by what a person does."""
    notebook = lab.open(lab.write("browse.ipynb", "import nbfiles", upstream.client, BROWSER))
    page = notebook.page
    start = time.perf_counter()
    notebook.run_all()
    browser = page.locator(".nbf-browse").first
    browser.locator("tr[data-row]").first.wait_for(timeout=60_000)
    seconds = time.perf_counter() - start
    page.wait_for_timeout(PAUSE)
    page.evaluate(_WATCH)
    doing: dict[str, Callable[[Page, Locator], None]] = {
        "search": _search, "sort": _sort, "select all": _select, "scroll": _scroll, "refresh": _refresh
    }  # fmt: skip
    tasks = {}
    for what, do in doing.items():
        do(page, browser)
        page.wait_for_timeout(PAUSE)
        tasks[what] = max(page.evaluate("() => window.long.splice(0)"), default=0.0)
    if verify:
        selected = notebook.kernel("print(len(browser.selected))")
        if int(selected) != MANY or browser.locator(".grp .dim").inner_text() != f"{MANY:,} files":
            raise AssertionError(f"not all files are there: {selected} are selected")
    notebook.close()
    return seconds, tasks


def _search(page: Page, browser: Locator) -> None:
    field = browser.get_by_role("searchbox")
    field.focus()
    for letter in "interview":
        page.keyboard.type(letter)
        page.wait_for_timeout(60)
    page.wait_for_timeout(PAUSE)
    field.fill("")


def _sort(page: Page, browser: Locator) -> None:
    for head in _HEADS:
        for _ in range(2):
            browser.get_by_role("button", name=head, exact=True).click()
            page.wait_for_timeout(200)


def _select(page: Page, browser: Locator) -> None:
    browser.locator("thead input").check()


def _scroll(page: Page, browser: Locator) -> None:
    for step in range(60):
        browser.locator(".nbf-scroll").evaluate("(element, top) => { element.scrollTop = top; }", step * 24_000)
        page.wait_for_timeout(16)


def _refresh(page: Page, browser: Locator) -> None:
    browser.get_by_role("button", name="Refresh").click()
    page.wait_for_timeout(500)
    browser.locator(".nbf-selbar", has_text="selected").wait_for(timeout=60_000)
