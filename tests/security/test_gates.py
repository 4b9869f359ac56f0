"""Gates: constructions that have let markup, keys or files out elsewhere stand nowhere in the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nbfiles

PACKAGE = Path(nbfiles.__file__).parent
GATES = {
    "markup that is not escaped": r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment",
    "a frame shown by pandas": r"escape *= *False|render_links|\.style\b(?!\.setProperty\()",
    "a redirect that is followed": r"follow_redirects *= *True|allow_redirects|max_redirects",
    "a certificate not looked at": r"verify *= *False|CERT_NONE|CERT_OPTIONAL|check_hostname|_create_unverified",
    "a folder told by a path's letters": r"\b(\w*path|\w*folder|\w*dir|str\(\w+\)|os\.fspath\(\w+\))\.startswith\(",
    "the environment, which IPython's %xmode Verbose prints whole": r"os\.environ\b",
    "a shell's command, or a pickle read": r"shell *= *True|os\.system|os\.popen|pickle\.loads?\(|marshal\.",
}
ALLOWED = {
    (
        "_local_process.py",  # made for the child; the frame is in no traceback, whatever happens
        'return {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}',
    ),
    ("_here.py", 'if not path.startswith("~"):'),  # what a person typed; no folder is judged by it
    (
        "sources/_shown.py",  # a file that is uploaded, not shown; its texts are escaped before
        'text = frame.to_html(index=False, escape=False, formatters=formatters, **{"border": 0, **options})',
    ),
    ("sources/_styled.py", 'style = sys.modules.get("pandas.io.formats.style")'),  # a style that a person made
    (
        "sources/_styled.py",
        'raise InputError("a style belongs to the rows that it was made for", "Style a part: df.head(100).style.")',
    ),
    ("_ledger.py", 'return str(folder).startswith("\\\\\\\\")'),  # a share of Windows; chooses a way to lock
}


def found(gate: str) -> set[tuple[str, str]]:
    """Return the file and the line of each place where `gate` stands."""
    sources = (path for ending in ("py", "js", "css") for path in PACKAGE.rglob(f"*.{ending}"))
    return {
        (path.relative_to(PACKAGE).as_posix(), line.strip())
        for path in sources
        for line in path.read_text("utf-8").splitlines()
        if re.search(gate, line)
    }


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_it_stands_nowhere(gate):
    """What has hurt others is not in the package, but for the places that are named here."""
    assert set() == found(gate) - ALLOWED


def test_no_exception_is_stale():
    """Every place that is allowed still exists."""
    assert set() == ALLOWED - set().union(*map(found, GATES.values()))
