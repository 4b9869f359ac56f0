"""Takes the README's pictures: ``python tests/ui/picture.py`` writes notebooks/pictures/table-light.png and -dark.png.

It runs the quickstart in a real JupyterLab with a local Files API, and takes the cell of the first upload: the line,
its receipt and its table. Run it again when the table's look has changed; NBFILES_CHROMIUM names the browser.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lab import DARK, LIGHT, NOTEBOOKS, Lab, chromium, lab_server, local_environment

UPLOAD = "%upload data/huckleberry-finn-page-29.pdf"


def take(lab: Lab, folder: Path) -> None:
    """Write both pictures into `folder`, at two pixels for each CSS pixel."""
    notebook = lab.open("01-first-upload.ipynb", scale=2)
    notebook.run_all()
    for theme, name in ((LIGHT, "table-light.png"), (DARK, "table-dark.png")):
        notebook.use_theme(theme)
        notebook.page.mouse.move(0, 0)
        notebook.cell(UPLOAD).screenshot(path=folder / name, animations="disabled")
        print(folder / name)
    notebook.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "notebooks"
        shutil.copytree(NOTEBOOKS, root)
        with lab_server(root, **local_environment(Path(folder) / "files")) as url, chromium() as browser:
            take(Lab(url, root, browser), NOTEBOOKS / "pictures")
