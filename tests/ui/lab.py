"""A real JupyterLab or Notebook 7, a real browser in front: what the tests of this folder and `picture.py` look at."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from playwright.sync_api import sync_playwright

from nbfiles.local._store import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, CDPSession, Error, Locator, Page

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
AXE = Path(__file__).parents[1] / "js" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
OPENED = {"lab": "lab", "notebook": "notebooks"}  # where each application opens a notebook
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",  # root in a container may not use it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SETTINGS = {
    # No question about news over the page, and every cell in the page even when it is scrolled away.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
    "docmanager-extension/plugin": {"autosave": False},
}
DARK, LIGHT = "JupyterLab Dark", "JupyterLab Light"
START, ACTION = 60, 120  # seconds: a server or a page to come up; a notebook to run on a busy machine


@contextmanager
def lab_server(root: Path, *, app: str = "lab", extension: bool = True, **environment: str) -> Iterator[str]:
    """Serve the folder `root`, and give the address under which its notebooks open, with the server's token.

    Parameters
    ----------
    root : Path
    app : str
        ``lab`` is JupyterLab, ``notebook`` is Notebook 7; neither knows any other configuration.
    extension : bool
        Whether the server has our extension.
    **environment : str
        Variables for the server and its kernels.
    """
    token, port = secrets.token_hex(16), free_port()
    home = root.parent / f"{root.name}-jupyter-{port}"
    for name, value in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    places = (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "JUPYTERLAB_WORKSPACES_DIR",
        "IPYTHONDIR",
    )
    env = os.environ | {place: str(home / place.lower()) for place in places}
    env |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings")} | environment
    options = [
        "--no-browser",
        "--allow-root",
        "--expose-app-in-browser",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.jpserver_extensions=nbfiles={extension}",
        f"--IdentityProvider.token={token}",
        "--LabApp.news_url=None",
    ]
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyter", app, *options], cwd=root, env=env, stdout=log, stderr=log
        )
        try:
            wait_until_served(f"http://127.0.0.1:{port}/api", server, home / "server.log")
            yield f"http://127.0.0.1:{port}/{OPENED[app]}?token={token}"
        finally:
            server.terminate()  # ends its kernels too
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_served(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until `url` answers; fail with the server's log when it ends before."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"Jupyter does not answer:\n{log.read_text()}")


def find_chromium() -> str:
    """Return the browser's path: NBFILES_CHROMIUM, else the first on the PATH."""
    path = os.environ.get("NBFILES_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if path is None:
        raise RuntimeError("no Chromium was found; tests/run finds or installs one, NBFILES_CHROMIUM names one")
    return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Lab:
    """One JupyterLab or Notebook 7 in one browser.

    Parameters
    ----------
    url : str
        Under which its notebooks open, as `lab_server` gives it.
    root : Path
        The folder it serves.
    browser : Browser
    extension : bool
        Whether its server has the extension of nbfiles.
    """

    url: str
    root: Path
    browser: Browser
    extension: bool = True

    def open(self, name: str, *, scale: float = 1) -> OpenNotebook:
        """Open the notebook `name` of the root in a new page, in the light theme, and wait until its kernel is idle."""
        context = self.browser.new_context(viewport={"width": 1280, "height": 1000}, device_scale_factor=scale)
        page = context.new_page()
        opened = OpenNotebook(page)
        page.on("console", opened.note_console)
        page.on("pageerror", opened.note_uncaught)
        address, query = self.url.split("?")
        if address.endswith("/lab"):  # a workspace of its own, so that no other page's tabs come back here
            address += f"/workspaces/{secrets.token_hex(4)}/tree"
        page.goto(f"{address}/{name}?{query}", timeout=START * 1000)
        page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext", timeout=START * 1000)
        page.evaluate(
            """async () => {
                const {context, sessionContext} = window.jupyterapp.shell.currentWidget;
                await Promise.all([window.jupyterapp.restored, context.ready, sessionContext.ready]);
            }"""
        )
        opened.wait_idle()
        opened.use_theme(LIGHT)  # the server keeps the theme that the test before chose
        return opened

    def write(self, name: str, *sources: str) -> str:
        """Write a notebook of code cells into the root; return its name."""
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), self.root / name)
        return name


@dataclass
class OpenNotebook:
    """A notebook in a page.

    Parameters
    ----------
    page : Page
    errors : list of str
        What the page's console reported as an error, and every uncaught exception.
    """

    page: Page
    errors: list[str] = field(default_factory=list)

    @cached_property
    def devtools(self) -> CDPSession:
        """What the browser's own tools can do with the page. What one session has set, another does not take back."""
        return self.page.context.new_cdp_session(self.page)

    def note_console(self, message: Any) -> None:
        """Keep `message` if it is an error."""
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def note_uncaught(self, error: Error) -> None:
        """Keep the uncaught `error`, unless it is the one with which Notebook 7.6 itself starts every page."""
        if not ("reading 'schema'" in error.message and "/static/notebook/notebook_core" in (error.stack or "")):
            self.errors.append(str(error))

    def run_all(self) -> None:
        """Run the cells as *Run All Cells* does, and wait until none runs or waits any more."""
        self.page.evaluate(
            """limit => Promise.race([
                window.jupyterapp.commands.execute('notebook:run-all-cells'),
                new Promise((_, fail) => setTimeout(() => fail(Error('cells still run or wait')), limit)),
            ])""",
            ACTION * 1000,
        )
        self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until the kernel is idle."""
        self.page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'",
            timeout=START * 1000,
        )

    def kernel(self, code: str) -> str:
        """Run `code` in the kernel from outside of the notebook, behind the cells that run; return what it printed."""
        printed, failure = self.page.evaluate(
            """async ([code, limit]) => {
                const {kernel} = window.jupyterapp.shell.currentWidget.sessionContext.session;
                const running = kernel.requestExecute({code, silent: false, store_history: false});
                const printed = [];
                running.onIOPub = ({content}) => { if (content.name === 'stdout') printed.push(content.text); };
                const late = new Promise((_, fail) => setTimeout(() => fail(Error('no answer')), limit));
                const {content} = await Promise.race([running.done, late]);
                return [printed.join(''), content.status === 'ok' ? null : `${content.ename}: ${content.evalue}`];
            }""",
            [code, ACTION * 1000],
        )
        if failure is not None:
            raise RuntimeError(failure)
        return printed

    @property
    def kernel_pid(self) -> int:
        """The process of the kernel."""
        return int(self.kernel("print(__import__('os').getpid())"))

    def axe(self, place: Locator) -> list[str]:
        """Return what axe-core has against the accessibility of `place`, one line for each element."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE.read_text("utf-8"))
        # JupyterLab's body has no height and hides its overflow; axe-core would take all that is in it for hidden.
        seen, violations = place.evaluate(
            """async (element, values) => {
                document.body.style.overflow = 'clip';
                const result = await window.axe.run(element, {runOnly: {type: 'tag', values}});
                document.body.style.overflow = '';
                const {passes, incomplete, violations} = result;
                const texts = [...passes, ...incomplete, ...violations].filter(({id}) => id === 'color-contrast')
                    .flatMap(rule => rule.nodes).filter(({any: [why]}) => why?.data?.messageKey !== 'hidden');
                const line = ({id}, {html, failureSummary}) => `${id}: ${html} ${failureSummary}`.replace(/\\s+/g, ' ');
                return [texts.length, violations.flatMap(rule => rule.nodes.map(node => line(rule, node)))];
            }""",
            list(RULES),
        )
        if not seen:
            raise RuntimeError("axe-core takes every text in it for hidden")
        return violations

    def sources(self) -> list[str]:
        """Return what stands in every cell: a key that reached the notebook would have changed it."""
        return self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.sharedModel.source)"
        )

    def outputs(self) -> list[list[dict[str, Any]]]:
        """Return the outputs of every code cell, as the notebook file would hold them."""
        return self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets
                .filter(cell => cell.model.type === 'code').map(cell => cell.model.outputs.toJSON())"""
        )

    def failures(self) -> list[str]:
        """Return every error that a cell shows; IPython prints a ``UsageError`` and makes no error output of it."""
        return [
            f"{output['ename']}: {output['evalue']}" if output["output_type"] == "error" else "".join(output["text"])
            for outputs in self.outputs()
            for output in outputs
            if output["output_type"] == "error" or "UsageError" in "".join(output.get("text", ""))
        ]

    def cell(self, text: str) -> Locator:
        """Return the code cell whose source or output holds `text`."""
        return self.page.locator(".jp-Notebook .jp-CodeCell", has_text=text).first

    def text(self, text: str) -> str:
        """Return the visible output of the code cell that holds `text`."""
        return self.cell(text).locator(".jp-OutputArea").inner_text()

    def use_theme(self, theme: str) -> None:
        """Switch the running JupyterLab to `theme`, as its Settings menu does."""
        self.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
        self.page.wait_for_function(
            "light => document.body.dataset.jpThemeLight === light",
            arg=str(theme == LIGHT).lower(),
            timeout=START * 1000,
        )

    def background(self, place: Locator) -> tuple[int, ...]:
        """Return the red, green and blue behind the text of `place`."""
        colour = place.evaluate("element => getComputedStyle(element).backgroundColor")
        return tuple(int(float(part)) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])

    def close(self) -> None:
        """End the kernel and close the page."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.page.context.close()


def local_environment(folder: Path) -> dict[str, str]:
    """Return the variables with which a kernel uploads to a local Files API that keeps its data in `folder`."""
    return {"NBFILES_API": "local", "NBFILES_LOCAL_DIR": str(folder)}


def stored(folder: Path) -> dict[str, str]:
    """Return the id and the SHA-256 of every file that the local Files API keeps in `folder`."""
    return {PREFIX + blob.name: sha256(blob) for blob in (folder / "blobs").iterdir()}


def sha256(path: Path) -> str:
    """Return the SHA-256 of the file's bytes in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
