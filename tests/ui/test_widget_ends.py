"""Page, kernel or server go away in the middle of a file: no byte stays, no name is bound, and the row says why."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import psutil
import pytest
from hands import Hands
from lab import Lab, lab_server, sha256, wait_until_served
from upstream import Upstream, globally, lose, spooled, throttle, uncaught
from widget import lines, notices, show, until_ended, until_said
from workbench import becomes

if TYPE_CHECKING:
    from pathlib import Path

    from lab import OpenNotebook
    from playwright.sync_api import Browser, Locator

WIDGET = 'picker = nbfiles.UploadWidget(files=files, bind="reports")\npicker'
LANES = pytest.mark.parametrize("place", ["lab", "lab_without_extension"])
KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
RESTARTED = "The kernel restarted. Choose the file again."


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of three pieces."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(os.urandom(17_000_000))
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file that takes no time."""
    path = tmp_path / "small.csv"
    path.write_text("a,b\n1,2\n")
    return path


def hold_back(lab: Lab, notebook: OpenNotebook) -> None:
    """See that a large file does not come whole to the kernel for a minute, by either lane."""
    if lab.extension:
        throttle(notebook, 200_000)
    else:
        lose(notebook, "in", '"kind": "ack"')


def let_go_on(notebook: OpenNotebook) -> None:
    """End what `hold_back` began."""
    throttle(notebook, 0)
    notebook.page.evaluate("window.toLose = 0")


def halfway(lab: Lab, upstream: Upstream, path: Path) -> tuple[OpenNotebook, Locator]:
    """Show a widget in a saved notebook and drop a file, of which a part is in the kernel and no more comes soon."""
    notebook, widget, hands = show(lab, upstream.client, WIDGET)
    notebook.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    hold_back(lab, notebook)
    hands.drop(path)
    assert becomes([path.name], lambda: upstream.names, 30)
    return notebook, widget


def assert_nothing_is_left(lab: Lab, notebook: OpenNotebook, widget: Locator, upstream: Upstream, small: Path) -> None:
    """Check that the API, the names and the spool have nothing of a file that failed, and that the next one arrives."""
    assert {} == upstream.kept
    assert "unbound" == notebook.kernel(globally("reports")).strip()
    Hands(widget).drop(small)
    _, line = until_ended(widget, 2)
    assert sha256(small) == upstream.kept[line.id]
    widget.get_by_role("button", name="Remove large.bin from the list").click()
    until_said(widget, "reports[0]")
    assert [line.id] == json.loads(notebook.kernel("import json; print(json.dumps(reports))"))
    assert becomes([], lambda: spooled(lab), 5), spooled(lab)
    assert [] == uncaught(notebook)


@LANES
def test_reload(place: str, upstream: Upstream, large: Path, small: Path, request: pytest.FixtureRequest) -> None:
    """A tab that is loaded anew shows that the file did not arrive whole, offers no retry, and takes the next one."""
    lab = request.getfixturevalue(place)
    notebook, _ = halfway(lab, upstream, large)
    notebook.page.reload()
    let_go_on(notebook)
    widget = notebook.page.locator(".nbf-up").first
    (line,) = until_ended(widget, 1)
    assert line.said.startswith("It did not arrive whole (")
    assert (True, False) == (line.failed, line.retry)
    assert_nothing_is_left(lab, notebook, widget, upstream, small)
    notebook.close()


def test_reload_while_the_kernel_sends(lab: Lab, upstream: Upstream, large: Path) -> None:
    """A file that is in the kernel goes on without its page; a tab loaded anew shows it on its way, and done."""
    upstream.faults[large.name] = upstream.hold
    notebook, widget, hands = show(lab, upstream.client, WIDGET)
    notebook.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    hands.drop(large)
    assert becomes(True, lambda: any(name.endswith(".done") for name in spooled(lab)), 30)
    assert becomes([large.name], lambda: upstream.names, 30)
    notebook.page.reload()
    widget = notebook.page.locator(".nbf-up").first
    until_said(widget, "application/octet-stream")
    upstream.go_on.set()
    (line,) = until_ended(widget, 1)
    assert ("reports[0]", sha256(large)) == (line.variable, upstream.kept[line.id])
    notebook.close()


@LANES
def test_closed_tab(place: str, upstream: Upstream, large: Path, small: Path, request: pytest.FixtureRequest) -> None:
    """A tab that is closed ends its file; whoever opens the notebook again reads why."""
    lab = request.getfixturevalue(place)
    left, _ = halfway(lab, upstream, large)
    name = left.page.evaluate("window.jupyterapp.shell.currentWidget.context.path")
    with left.page.expect_event("close"):
        left.page.close(run_before_unload=True)
    left.page.context.close()
    notebook = lab.open(name)
    widget = notebook.page.locator(".nbf-up").first
    (line,) = until_ended(widget, 1)
    assert line.said.startswith("It did not arrive whole (")
    assert_nothing_is_left(lab, notebook, widget, upstream, small)
    notebook.close()


@LANES
@pytest.mark.parametrize("how", ["restart", "death"])
def test_kernel(how: str, place: str, upstream: Upstream, large: Path, request: pytest.FixtureRequest) -> None:
    """A kernel that is restarted or dies ends its rows with the reason, and the cell can be run again."""
    lab = request.getfixturevalue(place)
    notebook, widget = halfway(lab, upstream, large)
    if how == "restart":
        notebook.page.evaluate(f"() => {KERNEL}.restart()")
    else:
        notebook.page.evaluate(f"() => {{ {KERNEL}.requestExecute({{code: 'import os; os._exit(1)'}}); }}")
    until_said(widget, RESTARTED)
    assert [(True, False)] == [(line.failed, line.retry) for line in lines(widget)]
    assert "The kernel restarted. Choose the unfinished files again." in notices(widget)
    if how == "death":
        notebook.page.locator(".jp-Dialog .jp-mod-accept").click()  # JupyterLab says so too
        notebook.wait_idle()
    else:
        assert becomes([], lambda: spooled(lab), 5), spooled(lab)
    assert {} == upstream.kept
    let_go_on(notebook)
    notebook.run_all()
    Hands(widget).drop(large)
    (line,) = until_ended(widget, 1)
    assert sha256(large) == upstream.kept[line.id]
    # Behind a kernel that had no chance to clear up, the next one does.
    assert becomes([], lambda: spooled(lab), 5), spooled(lab)
    assert [] == uncaught(notebook)
    notebook.close()


@LANES
def test_interrupt(place: str, upstream: Upstream, large: Path, request: pytest.FixtureRequest) -> None:
    """Interrupting the kernel ends the cell that runs, and no upload."""
    lab = request.getfixturevalue(place)
    notebook, widget = halfway(lab, upstream, large)
    notebook.page.evaluate(f"() => {{ {KERNEL}.requestExecute({{code: 'import time; time.sleep(60)'}}); }}")
    notebook.page.wait_for_function(f"() => {KERNEL}.status === 'busy'")
    notebook.page.evaluate(f"() => {KERNEL}.interrupt()")
    let_go_on(notebook)
    (line,) = until_ended(widget, 1)
    assert sha256(large) == upstream.kept[line.id]
    notebook.close()


def test_server(upstream: Upstream, large: Path, tmp_path: Path, browser: Browser) -> None:
    """A server that is ended and started again takes its kernels along; the row says so, and nothing is left."""
    root = tmp_path / "notebooks"
    root.mkdir()
    with lab_server(root) as url:
        lab = Lab(url, root, browser)
        notebook, widget = halfway(lab, upstream, large)
        server = psutil.Process(int(notebook.kernel("import os; print(os.getppid())")))
        again = {"args": server.cmdline(), "env": server.environ(), "cwd": server.cwd()}
        server.terminate()
        server.wait(20)
        with (tmp_path / "again.log").open("wb") as log, subprocess.Popen(**again, stdout=log, stderr=log) as second:
            try:
                wait_until_served(url.partition("/lab?")[0] + "/api", second, tmp_path / "again.log")
                until_said(widget, RESTARTED)
                assert [(True, False)] == [(line.failed, line.retry) for line in lines(widget)]
                assert [] == spooled(lab)
                assert {} == upstream.kept
                assert [] == uncaught(notebook)
                notebook.page.context.close()
            finally:
                second.terminate()


@LANES
def test_close(place: str, upstream: Upstream, large: Path, small: Path, request: pytest.FixtureRequest) -> None:
    """``close()`` takes the widget out of the page and lets go of what was on its way; what was done stays listed."""
    lab = request.getfixturevalue(place)
    notebook, widget, hands = show(lab, upstream.client, WIDGET)
    hands.drop(small)
    (done,) = until_ended(widget, 1)
    hold_back(lab, notebook)
    hands.drop(large)
    assert becomes([small.name, large.name], lambda: upstream.names, 30)
    notebook.kernel("picker.close()")
    widget.wait_for(state="detached")
    assert becomes([], lambda: spooled(lab), 5), spooled(lab)
    assert [done.id] == list(upstream.kept) == json.loads(notebook.kernel("import json; print(json.dumps(reports))"))
    stand_in = notebook.page.locator(".nbf-up-saved")
    assert small.name in stand_in.inner_text()
    assert [] == uncaught(notebook)
    notebook.close()
