"""Takes the README's pictures: ``python tests/ui/picture.py`` writes the files of notebooks/pictures.

It runs a notebook in a real JupyterLab with a local Files API: the first upload of the quickstart with its receipt and
table, the upload widget with one file half-way, over a connection that is slowed to that of an office, and the file
browser with a search and a selection. Run it again when the look has changed; NBFILES_CHROMIUM names the browser.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hands import Hands
from lab import DARK, LIGHT, NOTEBOOKS, Lab, OpenNotebook, chromium, lab_server, local_environment
from upstream import throttle

UPLOAD = "%upload data/huckleberry-finn-page-29.pdf"
PICTURES = NOTEBOOKS / "pictures"
SPEED = 10_000_000  # bytes a second that leave the browser
THEMES = ((LIGHT, "light"), (DARK, "dark"))


def take_table(lab: Lab) -> None:
    """Take the first upload of the quickstart."""
    notebook = lab.open("01-first-upload.ipynb", scale=2)
    notebook.run_all()
    for theme, name in THEMES:
        notebook.use_theme(theme)
        shoot(notebook, UPLOAD, PICTURES / f"table-{name}.png")
    notebook.close()


def take_widget(lab: Lab, folder: Path) -> None:
    """Take the widget with a file half-way, some that are done and one that is too large, once in each theme."""
    data = NOTEBOOKS / "data"
    scans, film = folder / "survey-scans-2026.zip", folder / "site-walkthrough-4k.mov"
    for path, size in ((scans, 96_000_000), (film, 1_210_000_000)):
        with path.open("wb") as file:
            file.truncate(size)
    cell = "picker = nbfiles.UploadWidget(bind='reports')\npicker"
    for theme, name in THEMES:
        notebook = lab.open(lab.write("widget.ipynb", "import nbfiles", cell), scale=2)
        notebook.use_theme(theme)
        notebook.run_all()
        widget = notebook.page.locator(".nbf-up")
        Hands(widget).drop(data / "huckleberry-finn-page-29.pdf", data / "china.jpg", data / "penguins.csv", film)
        widget.locator(".nbf-row .bound .var").nth(2).wait_for()
        throttle(notebook, SPEED)
        Hands(widget).drop(scans)
        widget.get_by_text("left").wait_for()
        notebook.page.wait_for_timeout(2000)
        shoot(notebook, "UploadWidget", PICTURES / f"widget-{name}.png")
        notebook.close()


def take_browser(lab: Lab) -> None:
    """Take the file browser with a search, three selected rows and one that a variable holds."""
    client = "files = nbfiles.Files(local=True)"
    fill = (
        "for n in range(40):\n"
        "    files.upload(bytes(10 ** (n % 7)), name=f'interviews-batch-{n}.zip', fresh=True)\n"
        "    files.upload(bytes(3 ** (n % 15)), name=f'survey-{n}.csv', expires='7d' if n % 5 == 0 else 'never')\n"
        "notes_id = files.upload(b'What we were told', name='interview-notes.md', expires='3h')"
    )
    notebook = lab.open(lab.write("browse.ipynb", "import nbfiles", client, fill, "nbfiles.FileBrowser()"), scale=2)
    notebook.run_all()
    browser = notebook.page.locator(".nbf-browse")
    browser.locator("tr[data-row]").first.wait_for()
    browser.get_by_role("searchbox").fill("int")
    browser.get_by_role("button", name="Expires", exact=True).click()
    notebook.page.wait_for_timeout(500)
    for row in (0, 1, 3):
        browser.locator("tr[data-row]").nth(row).locator("input").click()
    notebook.page.wait_for_timeout(500)
    for theme, name in THEMES:
        notebook.use_theme(theme)
        shoot(notebook, "FileBrowser", PICTURES / f"browser-{name}.png")
    notebook.close()


def shoot(notebook: OpenNotebook, cell: str, path: Path) -> None:
    """Take the cell that holds the text `cell`, at two pixels for each CSS pixel."""
    notebook.page.mouse.move(0, 0)
    notebook.cell(cell).screenshot(path=path, animations="disabled")
    print(path)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "notebooks"
        shutil.copytree(NOTEBOOKS, root)
        with lab_server(root, **local_environment(Path(folder) / "files")) as url, chromium() as browser:
            take_table(Lab(url, root, browser))
            take_widget(Lab(url, root, browser), Path(folder))
            take_browser(Lab(url, root, browser))
