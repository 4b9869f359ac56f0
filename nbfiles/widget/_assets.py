"""Assets: the browser's half of a widget, as anywidget takes it: one module and one style sheet.

There is no build step, and a module that is handed over as text can import nothing beside it. So what both widgets
share (``static/common.js``) is put in front of the one that imports it, and lines that are only comments stay here.
"""

from __future__ import annotations

import importlib.resources
import re

from nbfiles import _render

_STATIC = importlib.resources.files("nbfiles.widget").joinpath("static")
_COMMENTS = re.compile(r"^\s*(?://.*|/\*\*.*\*/|/\*\*\n(?:\s*\*.*\n)*?\s*\*/)\n", re.MULTILINE)
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./common\.js";\n', re.MULTILINE)


def script(name: str) -> str:
    """Return the JavaScript module `name` of ``static``, such as ``"upload.js"``, with what it imports in front."""
    own, imports = _IMPORT.subn("", _read(name))
    parts = [_read("common.js")] * imports + [own]
    return "".join(_COMMENTS.sub("", part) for part in parts)


def style(name: str) -> str:
    """Return the rules that every output of ours has, and behind them those of ``static``'s `name`."""
    return _render.css() + _read(name)


def _read(name: str) -> str:
    return _STATIC.joinpath(name).read_text("utf-8")
