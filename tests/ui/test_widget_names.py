"""File names that want to be more than names: in the row, the table, the saved notebook and its HTML they stay text."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hostile import HIDDEN, PAYLOADS
from upstream import spooled
from widget import held, html_of, lines, save, show, start, until_ended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hands import Hands
    from lab import Lab, OpenNotebook
    from playwright.sync_api import Browser, Locator, Page

# What the Files API takes as a name, and a disk as a file.
TAKEN = (
    "invoice\u202efdp.exe.csv",
    "\u2066left\u2069\u200b\ufeffzero.csv",
    "'onmouseover='window.__pwned=1'.csv",
    "&lt;img src=x onerror=window.__pwned=2&gt;.csv",
    "`${window.__pwned=3}` {{7-7}} $x$.csv",
    "a" * 251 + ".csv",
    "e\u0301clair na\u00efve \u4f8b.csv",
)
MARK = f"escape-{secrets.token_hex(8)}"  # no other file of this machine is called so
ESCAPE = f"/tmp/{MARK}.csv"
# What it does not take: markup, a terminal's escapes, ways out of a folder, one character too many.
REFUSED = (
    *(payload + ".csv" for payload in PAYLOADS if set(payload) & set('<>":|?*\\/')),
    "<img src=x onerror=window.__pwned=4>.csv",
    "<script>window.__pwned=5</script>.csv",
    "\x1b[2J\x1b[31mred\x07.csv",
    "line\r\nbreak\u2028.csv",
    "' style='position:fixed;inset:0.csv",
    f"../../{MARK}.csv",
    f"..\\..\\{MARK}.csv",
    ESCAPE,
    "nul\x00.csv",
    "a" * 252 + ".csv",
)
NAMES = TAKEN + REFUSED
# Elements and attributes that nothing of ours has.
FOREIGN = "a, base, embed, form, iframe, img, link, math, meta, object, script, video, .jp-mod-active, [style*=fixed]"
# Handlers, and every text and attribute that holds a character which is not seen, or moves what is seen.
SUSPECT = r"""root => [root, ...root.querySelectorAll('*')].flatMap(element => [
    ...[...element.attributes].filter(({name}) => name.startsWith('on')).map(({name}) => name),
    ...[...element.attributes, ...element.childNodes].map(({nodeValue}) => nodeValue)
        .filter(text => /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text?.replaceAll('\n', '') ?? '')),
])"""
NAMED = "rows => rows.map(row => row.querySelector('.nbf-name:not(.mono)').textContent)"


@pytest.fixture(scope="module")
def notebook(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenNotebook]:
    """A notebook whose widget was given every one of `NAMES`."""
    folder = tmp_path_factory.mktemp("hostile")
    notebook, widget, hands = show(lab, "named = nbfiles.UploadWidget(bind='named_ids')\nnamed", "named.table")
    for name in TAKEN:
        (folder / name).write_text("a,b")
    hands.drop(*(folder / name for name in TAKEN))
    until_ended(widget, len(TAKEN))
    drop_named(hands, REFUSED)
    until_ended(widget, len(NAMES))
    yield notebook
    assert [] == notebook.errors
    notebook.close()


def drop_named(hands: Hands, names: tuple[str, ...]) -> None:
    """Drop files of `names` that no disk would hold."""
    hands.target.evaluate(
        """(target, names) => {
            const dataTransfer = new DataTransfer();
            for (const name of names) dataTransfer.items.add(new File(['a,b'], name));
            target.dispatchEvent(new DragEvent('drop', {dataTransfer, bubbles: true, cancelable: true}));
        }""",
        list(names),
    )


def shown(name: str) -> str:
    """Return `name` as it is to be seen."""
    return "".join(f"<U+{ord(char):04X}>" if char in HIDDEN else char for char in name)


def assert_inert(page: Page, place: Locator) -> None:
    """Check that no name became an element, an attribute or a script in `place`, or can reorder what stands there."""
    assert [] == place.locator(FOREIGN).evaluate_all("all => all.map(element => element.outerHTML)")
    assert [] == place.evaluate(SUSPECT)
    assert page.evaluate("() => window.__pwned === undefined")


def test_a_name_is_only_a_name_in_its_row(notebook: OpenNotebook) -> None:
    """Names, titles and labels show every hidden character as its mark; nothing of a name runs."""
    widget = notebook.page.locator(".nbf-up")
    read = lines(widget)
    assert [shown(name) for name in NAMES] == [line.name for line in read]
    assert [True] * len(TAKEN) + [False] * len(REFUSED) == [bool(line.id) for line in read]
    assert all(line.said.startswith("Not sent: ") for line in read[len(TAKEN) :])
    labels = widget.locator("[data-do=end]").evaluate_all("buttons => buttons.map(button => button.ariaLabel)")
    assert [f"Remove {shown(name)} from the list" for name in NAMES] == labels
    for row in widget.locator(".nbf-row .nbf-name").all()[:2]:
        row.hover()
    assert_inert(notebook.page, widget)
    assert 40 < min(row.bounding_box()["height"] for row in widget.locator(".nbf-row").all())


def test_the_ids_are_those_of_the_names(notebook: OpenNotebook) -> None:
    """The Files API has the names as they are, and only those that it takes."""
    assert list(TAKEN) == held(notebook, "[i.metadata.filename for i in named_ids]")


def test_a_name_is_no_path(lab: Lab, notebook: OpenNotebook) -> None:
    """No name led out of the folder in which files wait, and none is left in there."""
    assert [] == list(lab.root.parent.parent.rglob(f"*{MARK}*"))
    assert not Path(ESCAPE).exists()
    assert [] == spooled(lab)


def test_a_name_is_only_a_name_in_a_saved_notebook(
    lab: Lab, notebook: OpenNotebook, browser: Browser, tmp_path: Path
) -> None:
    """The tables that are saved, and nbconvert's HTML of them, hold marks, and no markup of a name's."""
    start(notebook, "named.table")
    notebook.wait_idle()
    table = notebook.cell("named.table").locator(".jp-OutputArea")
    table.locator("table").wait_for()
    assert_inert(notebook.page, table)
    assert [shown(name) for name in TAKEN] == table.locator("tbody tr").evaluate_all(NAMED)
    saved = save(lab, notebook)
    assert set() == set(saved.read_text("utf-8")) & set(HIDDEN) - {"\n"}
    page = browser.new_page()
    page.goto(html_of(saved, tmp_path).as_uri(), wait_until="domcontentloaded")
    for output in page.locator(".jp-OutputArea").all():
        assert_inert(page, output)
    assert [shown(name) for name in TAKEN] == page.locator(".nbf-up-saved tbody tr").evaluate_all(NAMED)
    page.close()
