"""Names, types and messages of servers in a real kernel: in everything that a front end gets they stay text.

The tests of each renderer sweep its parts. Here a server says the text, the magics show it, and what is judged is what
came over the kernel's wire.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from doubles import Server, metadata
from hostile import HIDDEN, PAYLOADS, harmless, raw_hidden, shape
from kernels import Kernel
from workbench import CANARY

from nbfiles._names import mark

if TYPE_CHECKING:
    from doubles import Exchange

MARKUP = (*PAYLOADS, *(Path(__file__).parent / "xss.txt").read_text("utf-8").splitlines())
MOVING = tuple(f"a{char}b.pdf" for char in HIDDEN)
PLAIN = sorted({harmless(name) for name in MARKUP})  # one of each length
TEXTS = (*MARKUP, *PLAIN, *MOVING, "aib.pdf")
SINKS = ("receipt", "table", "list", "delete plan", "failure", "error line", "progress")

SETUP = """
import itertools, logging
from IPython.display import display
import nbfiles
from nbfiles._events import Queued, Retrying
from nbfiles._progress import NotebookBar
%load_ext nbfiles
%config NbFiles.ledger = False
nbfiles._progress.SHOWN_AFTER = 600  # for no bar but the one below, whose clock runs ahead
shell = get_ipython()

def show(number, text):
    chosen = f"--beta n{number} --no-retry"
    display(shell.run_line_magic("upload", f"nbfiles.text('{number}', name='a.txt') as x {chosen}"))
    display(shell.run_line_magic("files", f"list --beta n{number}"))
    display(shell.run_line_magic("files", f"delete file_{number} --dry-run --beta n{number}"))
    pair = "[nbfiles.text(each, name=each + '.txt') for each in ('good', 'bad')]"
    try:
        shell.run_line_magic("upload", f"{pair} as y {chosen}")
    except nbfiles.UploadError as error:
        lines = [*error._render_traceback_(), str(error), *map(str, error.failures)]
        lines[0] = lines[0].replace("\\x1b[1;31m", "", 1).replace("\\x1b[0m", "", 1)  # our own colour
        display({"text/plain": "\\n".join(lines)}, raw=True)
    bar = NotebookBar(itertools.count(step=1000).__next__)
    bar(Queued(0, text, 10))
    bar(Retrying(0, text, 1.0, 2, 5))
"""


class Shown(NamedTuple):
    """What a front end got of one sink, the HTML of the last output of it and all its text."""

    text: str
    html: str


def answer(exchange: Exchange) -> None:
    """Answer with the text that the request's beta names in every place that a server fills."""
    exchange.wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # 40 ms each, thousands of times
    exchange.read()
    number = exchange.header("anthropic-beta").rpartition(",n")[2]
    text = TEXTS[int(number)]
    file = metadata(f"file_{number}", filename=text, mime_type=text, size_bytes=len(number))
    if b'filename="bad.txt"' in exchange.body:
        exchange.answer(400, {"type": "error", "error": {"type": text, "message": text}}, {"request-id": "req_1"})
    elif exchange.method == "POST":
        size = 4 if b'filename="good.txt"' in exchange.body else len(number)
        exchange.answer(200, file | {"size_bytes": size})
    elif exchange.target.startswith("/v1/files/"):
        exchange.answer(200, file)
    else:
        exchange.answer(200, {"data": [file | {"id": f"file_{text}"}], "next_page": None})


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Shown]]:
    """What each of `SINKS` showed of each of `TEXTS`, by text."""
    seen = {}
    with (
        Server(answer) as server,
        Kernel(tmp_path_factory.mktemp("k"), ANTHROPIC_BASE_URL=server.url, ANTHROPIC_API_KEY=CANARY) as kernel,
    ):
        kernel.do(SETUP)
        for number, text in enumerate(TEXTS):
            outputs = kernel.do(f"show({number}, {text!r})").shown
            receipt, table, listed, plan, failure, line, _, progress = outputs
            seen[text] = {
                sink: Shown(bundle["text/plain"], bundle.get("text/html", ""))
                for sink, bundle in zip(SINKS, (receipt, table, listed, plan, failure, line, progress), strict=True)
            }
    return seen


@pytest.mark.parametrize("sink", [sink for sink in SINKS if sink != "error line"])
def test_no_payload_becomes_markup(shown, sink):
    """In no place does a text make an element or an attribute that a harmless one of its length does not make."""
    assert [] == [
        text for text in MARKUP if shape(shown[harmless(text)][sink].html) != shape(shown[text][sink].html)
    ]  # fmt: skip


@pytest.mark.parametrize("sink", SINKS)
def test_no_hidden_character_is_shown_raw(shown, sink):
    """What is not seen, or moves what is seen, is shown as its mark, in text and in HTML; it breaks no line."""
    plain = shown["aib.pdf"][sink]
    for char in HIDDEN:
        text, html = shown[f"a{char}b.pdf"][sink]
        assert set() == (set(text) & set(HIDDEN)) - {"\n"} | raw_hidden(html) - {"\n"}, mark(char)
        assert mark(char) in text
        assert plain.text.count("\n") == text.count("\n"), mark(char)


def test_the_payloads_would_be_markup():
    """The sweep has teeth: most payloads, not escaped, make elements or attributes; none stands twice."""
    loose = [text for text in MARKUP if shape(f'<p title="{text}">{text}</p>') != shape('<p title="a">a</p>')]
    assert len(loose) > 150
    assert len(set(MARKUP)) == len(MARKUP)
