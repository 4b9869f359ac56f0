"""P12 and P13: the upload widget in a real JupyterLab with a real Chromium, driven by Playwright.

P12, HTTP lane, 500 MB: from the drop until the last byte has landed where the kernel reads it, and until the id is
bound, against JupyterLab's own file browser uploading the same file, in interleaved pairs; and the peak memory that it
costs the kernel and the Jupyter server. P13, comm lane, 100 MB: the speed while the kernel is idle, and while a cell is
run ten times a second over another connection, with the time such a cell takes to answer; then the same from the page
itself, where a cell waits behind the pieces in its own connection.

Clocks: uploads are timed in the page, by one clock. A landing ends with the browser's own request (HTTP lane), or with
the message that the kernel has the last byte (comm lane); the rest is what a person sees, the row in its last state.
Playwright sits between page and server, and slows the comm lane
to about half of what a bare browser does (measured in a prototype), and JupyterLab's upload by a quarter.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "ui"))

from hands import Hands
from lab import Lab, chromium, lab_server, local_environment, sha256, stored
from upstream import SOCKET

from .asking import asked
from .memory import MIB, Peak
from .report import Row, row
from .samples import fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import OpenNotebook

LARGE, SMALL = 500_000_000, 100_000_000  # bytes
LIMIT = 100_000  # milliseconds that one upload may take

# Without reuse: the same file is dropped again and again, and is to be uploaded each time.
_CELL = """%load_ext nbfiles
%config NbFiles.reuse = False
import nbfiles
bench = None
picker = nbfiles.UploadWidget(multiple=False, bind='bench')
picker"""

# Starts the clock when a file is dropped, and stops it when the widget shows the name that holds its id.
_WATCH = """root => {
    const bound = () => root.querySelector('.nbf-row:last-child .bound .mono')?.title;
    const before = bound();
    window.bench = {};
    root.addEventListener('drop', () => { window.bench.dropped = performance.now(); }, {capture: true, once: true});
    new MutationObserver((_changes, observer) => {
        if (window.bench.dropped && bound() && bound() !== before && root.querySelector('.nbf-row:last-child .var')) {
            window.bench.bound = performance.now();
            observer.disconnect();
        }
    }).observe(root, {subtree: true, childList: true, characterData: true, attributes: true});
}"""
# Keeps when the kernel last acknowledged a piece; the page hears it before the widget does.
_HEAR = f"""() => {{
    const socket = {SOCKET};
    const hear = socket.onmessage;
    const text = new TextDecoder('latin1');
    socket.onmessage = event => {{
        if (/"kind": ?"ack"/.test(typeof event.data === 'string' ? event.data : text.decode(event.data))) {{
            window.bench.acknowledged = performance.now();
        }}
        hear.call(socket, event);
    }};
}}"""
# JupyterLab's own upload, by the model of its file browser; the question about large files is answered at once.
_LAB_UPLOAD = """async input => {
    const widgets = [...window.jupyterapp.shell.widgets('left')];
    const {model} = widgets.find(widget => widget.id === 'filebrowser');
    const answer = new MutationObserver(() => document.querySelector('.jp-Dialog .jp-mod-accept')?.click());
    answer.observe(document.body, {childList: true, subtree: true});
    const start = performance.now();
    await model.upload(input.files[0]);
    const seconds = (performance.now() - start) / 1000;
    answer.disconnect();
    input.remove();
    return seconds;
}"""
# Runs a cell's worth of code ten times a second until told to stop, and keeps how long each took to answer.
_ASK = """() => {
    const {kernel} = window.jupyterapp.shell.currentWidget.sessionContext.session;
    window.answers = [];
    window.asking = (async () => {
        while (window.asking !== null) {
            const start = performance.now();
            await kernel.requestExecute({code: '1 + 1', silent: false, store_history: false}).done;
            window.answers.push(performance.now() - start);
            await new Promise(done => setTimeout(done, Math.max(0, 100 - (performance.now() - start))));
        }
    })();
}"""


def rows(*, verify: bool, repeat: int) -> list[Row]:
    """Measure P12 and P13; return a row for each figure, with its goal and whether it is met."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        here = Path(folder)
        with _opened(here / "http", browser, extension=True) as (notebook, files):
            found = _http_lane(notebook, files, fill(here / "large.bin", LARGE), verify=verify, repeat=repeat)
        with _opened(here / "comm", browser, extension=False) as (notebook, files):
            found += _comm_lane(notebook, files, fill(here / "small.bin", SMALL), verify=verify, repeat=repeat)
    return found


def _http_lane(notebook: OpenNotebook, files: Path, path: Path, *, verify: bool, repeat: int) -> list[Row]:
    """Compare the widget with JupyterLab's own upload."""
    _drop(notebook, fill(path.with_name("warm.bin"), MIB))
    kernel = notebook.kernel_pid
    processes = {"kernel": kernel, "server": _parent(kernel)}
    landed, bound, own, grown = [], [], [], dict.fromkeys(processes, 0.0)
    for _ in range(repeat):
        peaks = {name: Peak(pid) for name, pid in processes.items()}  # anew: JupyterLab's own upload takes memory too
        times = _drop(notebook, path)
        landed.append(times["landed"])
        bound.append(times["bound"])
        grown = {name: max(grown[name], peak.growth() / MIB) for name, peak in peaks.items()}
        if verify:
            _verify(notebook, files, path)
        own.append(_lab_upload(notebook, path))
    lab = statistics.median(own)
    to_landed = statistics.median(lab_ / ours for lab_, ours in zip(own, landed, strict=True))
    to_bound = statistics.median(lab_ / ours for lab_, ours in zip(own, bound, strict=True))
    print(
        f"P12: JupyterLab {lab:.1f} s; landed {statistics.median(landed):.2f} s, bound {statistics.median(bound):.2f} s"
    )
    return [
        row("P12 500 MB dropped, landed, against JupyterLab's upload", to_landed, "x", least=12),
        row("P12 500 MB dropped, id bound, against JupyterLab's upload", to_bound, "x", least=8),
        row("P12 peak memory of the kernel", grown["kernel"], "MiB", most=16),
        row("P12 peak memory of the Jupyter server", grown["server"], "MiB", most=16),
    ]


def _comm_lane(notebook: OpenNotebook, files: Path, path: Path, *, verify: bool, repeat: int) -> list[Row]:
    """Measure the speed of the notebook's own connection, idle and busy."""
    _drop(notebook, fill(path.with_name("warm.bin"), MIB))
    connection = notebook.kernel("from ipykernel.connect import get_connection_file as f; print(f(), end='')")
    idle, busy, answers, own = [], [], [], []
    for _ in range(repeat):
        idle.append(SMALL / 1e6 / _drop(notebook, path)["landed"])
        if verify:
            _verify(notebook, files, path)
        with asked(connection) as times:
            busy.append(SMALL / 1e6 / _drop(notebook, path)["landed"])
        answers += times
        notebook.page.evaluate(_ASK)
        _drop(notebook, path)
        own += notebook.page.evaluate("() => { window.asking = null; return window.answers; }")
    return [
        row("P13 100 MB by the comm lane, kernel idle", statistics.median(idle), "MB/s", least=40),
        row("P13 the same while a cell is run 10 times a second", statistics.median(busy), "MB/s", least=38),
        row("P13 and such a cell answers in", statistics.median(answers), "ms", most=25),
        row("P13 a cell of the same page answers in", statistics.median(own), "ms"),
    ]


@contextmanager
def _opened(folder: Path, browser: Any, *, extension: bool) -> Iterator[tuple[OpenNotebook, Path]]:
    """Serve JupyterLab, and open a notebook in it whose widget is shown; give the local Files API's folder too."""
    root, files = folder / "notebooks", folder / "files"
    root.mkdir(parents=True)
    with lab_server(root, extension=extension, **local_environment(files)) as url:
        lab = Lab(url, root, browser)
        notebook = lab.open(lab.write("bench.ipynb", _CELL))
        notebook.run_all()
        notebook.page.locator(".nbf-up .hit").wait_for()
        notebook.page.evaluate(_HEAR)
        yield notebook, files
        notebook.close()


def _drop(notebook: OpenNotebook, path: Path) -> dict[str, float]:
    """Drop a file on the widget; return the seconds until it had landed, and until its id was bound."""
    page, widget = notebook.page, notebook.page.locator(".nbf-up")
    page.evaluate("() => performance.clearResourceTimings()")
    widget.evaluate(_WATCH)
    Hands(widget).drop(path)
    page.wait_for_function("() => window.bench.bound", timeout=LIMIT)
    return page.evaluate(
        """() => {
            const {dropped, acknowledged, bound} = window.bench;
            const puts = performance.getEntriesByType('resource').filter(one => one.name.includes('/nbfiles/landing/'));
            const end = puts.length ? Math.max(...puts.map(one => one.responseEnd)) : acknowledged;
            return {landed: (end - dropped) / 1000, bound: (bound - dropped) / 1000};
        }"""
    )


def _lab_upload(notebook: OpenNotebook, path: Path) -> float:
    """Upload the file by JupyterLab's file browser; return the seconds, and leave no copy behind."""
    page = notebook.page
    page.evaluate(
        "() => document.body.append(Object.assign(document.createElement('input'), {type: 'file', id: 'bench-input'}))"
    )
    source = page.locator("#bench-input")
    source.set_input_files(path)
    seconds = source.evaluate(_LAB_UPLOAD, timeout=LIMIT)
    notebook.kernel(f"import os; os.remove({path.name!r})")
    return seconds


def _verify(notebook: OpenNotebook, files: Path, path: Path) -> None:
    """See that the file behind the bound id is the one that was dropped.

    Raises
    ------
    AssertionError
        If it is not.
    """
    bound = notebook.kernel("print(bench, end='')")
    if stored(files)[bound] != sha256(path):
        raise AssertionError("what arrived is not what was dropped")


def _parent(pid: int) -> int:
    """Return the process that started `pid`: a kernel's is its Jupyter server."""
    return int(Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[1])
