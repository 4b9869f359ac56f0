"""The quickstart in a real JupyterLab: what a person sees after the first upload, light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import DARK, LIGHT

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab, OpenNotebook
    from playwright.sync_api import Locator

QUICKSTART = "01-first-upload.ipynb"
FILES_LINE = "%upload data/huckleberry-finn-page-29.pdf"
LOAD = "%load_ext nbfiles"


def rows(table: Locator) -> list[dict[str, str]]:
    """Return the rows of an HTML table, each by its column headers."""
    headers = [header.strip() for header in table.locator("thead th").all_inner_texts()]
    lines = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
    return [dict(zip(headers, (cell.strip() for cell in line), strict=True)) for line in lines]


def contrast(place: Locator) -> float:
    """Return the contrast (WCAG 2.2, 1.4.3) of the text of `place` with the nearest painted background."""
    return place.evaluate(
        """element => {
            const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
            const light = colour => {
                paint.clearRect(0, 0, 1, 1);
                paint.fillStyle = colour;
                paint.fillRect(0, 0, 1, 1);
                const [r, g, b] = [...paint.getImageData(0, 0, 1, 1).data.slice(0, 3)].map(byte => byte / 255)
                    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            let behind = element;
            const clear = colour => colour === 'transparent' || colour === 'rgba(0, 0, 0, 0)';
            while (clear(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
            const [a, b] = [light(getComputedStyle(element).color), light(getComputedStyle(behind).backgroundColor)];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        }"""
    )


def assert_table_is_readable(notebook: OpenNotebook) -> None:
    """Check receipt and table of the notebook's first upload as they stand in the page."""
    output = notebook.cell(FILES_LINE).locator(".jp-OutputArea")
    table = output.locator("table.nbf-t")
    shown = rows(table)
    assert ["page_id", "photo_id"] == [row["variable"] for row in shown]
    assert ["huckleberry-finn-page-29.pdf", "china.jpg"] == [row["filename"] for row in shown]
    assert ["application/pdf", "image/jpeg"] == [row["mime_type"] for row in shown]
    assert ["document, container_upload", "image, container_upload"] == [row["block"] for row in shown]
    assert {"uploaded"} == {row["status"] for row in shown}
    assert all(row["id"].startswith("file_local_") for row in shown)
    receipt = output.locator(".nbf-line").first
    assert receipt.is_visible()
    assert "2 files" in receipt.inner_text()
    for place in (receipt, *table.locator("th").all(), *table.locator("tbody td").all()):
        assert 4.5 <= contrast(place)


def test_the_quickstart_is_shown_well_in_light_and_dark(lab: Lab, tmp_path: Path) -> None:
    """The quickstart runs without an error; its table is an HTML table that is readable in both themes."""
    notebook = lab.open(QUICKSTART)
    notebook.run_all()
    assert [] == notebook.failures()
    for theme in (LIGHT, DARK):
        notebook.use_theme(theme)
        assert_table_is_readable(notebook)
        notebook.page.screenshot(path=tmp_path / f"{theme}.png")
    assert [] == notebook.errors
    notebook.close()


def test_cells_queued_behind_an_upload_run(lab: Lab) -> None:
    """*Run All* with an upload in the first cell runs every cell that waits behind it."""
    upload = f"{LOAD}\nseen = []\n%upload data/*.csv as ids --fresh"
    later = [f"seen.append({number})" for number in (1, 2, 3)]
    notebook = lab.open(lab.write("queued.ipynb", upload, *later, "len(ids), seen"))
    notebook.run_all()
    assert [] == notebook.failures()
    assert "(2, [1, 2, 3])" == notebook.text("len(ids), seen").split(":")[-1].strip()
    notebook.close()


def test_a_hostile_file_name_is_only_a_name(lab: Lab) -> None:
    """A name that reads as markup runs nothing, and a direction mark is shown as what it is."""
    names = (
        "&lt;img src=x onerror=window.__pwned=1&gt;.csv",
        "invoice\u202efdp.exe",
        "'onmouseover='window.__pwned=2'.csv",
    )
    make = f"from pathlib import Path\nfor name in {names!r}:\n    Path('hostile', name).write_text(name)"
    cells = (LOAD, "!mkdir -p hostile", make, "%upload hostile/ as hostile_ids", "%files")
    notebook = lab.open(lab.write("hostile.ipynb", *cells))
    notebook.run_all()
    assert [] == notebook.failures()
    output = notebook.cell("%upload hostile").locator(".jp-OutputArea")
    shown = {row["filename"] for row in rows(output.locator("table.nbf-t"))}
    assert {names[0], "invoice<U+202E>fdp.exe", names[2]} == shown
    assert_inert(notebook, "%upload hostile", "%files")
    notebook.close()


def test_a_refused_name_is_only_a_name(lab: Lab) -> None:
    """A name with markup, which the Files API does not take, runs nothing where the error shows it."""
    name = "<img src=x onerror=window.__pwned=3><script>window.__pwned=4<&script>.csv"
    make = f"from pathlib import Path\nPath({name!r}).write_text('1')"
    notebook = lab.open(lab.write("refused.ipynb", LOAD, make, f'%upload "{name}" as refused_id'))
    notebook.run_all()
    assert 1 == len(notebook.failures())
    assert_inert(notebook, "as refused_id")
    notebook.close()


def assert_inert(notebook: OpenNotebook, *cells: str) -> None:
    """Check that no name became an element, an attribute or a script in the outputs of `cells`."""
    for cell in cells:
        output = notebook.cell(cell).locator(".jp-OutputArea")
        assert 0 == output.locator("img, script, [onerror], [onmouseover]").count()
        output.hover()
    assert notebook.page.evaluate("() => window.__pwned === undefined")
