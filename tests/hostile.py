"""Texts that want to be more than text, and what a rendered page is checked with."""

from __future__ import annotations

import sys
import unicodedata
from collections import Counter

import html5lib

# Markup, attributes, entities, comments, templates, URLs: what file names and error texts have carried elsewhere.
PAYLOADS = (
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext></mtext><mglyph><style><!--</style><img title='--><img src=x onerror=alert(1)>'>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href=javascript:alert(1)>x</a>",
    "<a id=config name=config>x</a>",
    "<form id=test><input name=parentNode></form>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<object data=//evil.example></object>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<input autofocus onfocus=alert(1)>",
    "<button data-commandlinker-command='notebook:run-all-cells'>run</button>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    '" style="position:fixed;inset:0" x="',
    '" class="jp-mod-active" id="x',
    "</td></tr></table><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</bdi></p></div><h1>free</h1>",
    "<!-- open comment",
    "--><script>alert(1)</script><!--",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><x/>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;img src=x onerror=alert(1)&#62;",
    "&quot;&gt;&lt;img&gt;",
    "&",
    "<",
    '"',
    "'",
    "`${alert(1)}`",
    "{{7*7}} {% raw %} $x$ \\(x\\)",
    "[x](javascript:alert(1))",
    "<U+202E>forged mark",
)  # fmt: skip

HIDDEN = tuple(
    char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}
)


def harmless(text: str) -> str:
    """Return a text as long as `text` that nobody could object to."""
    return "a" * len(text)


def shape(html: str) -> Counter[tuple[str, tuple[str, ...]]]:
    """Count the elements of `html` by tag and attribute names, but for the borders around hidden characters."""
    return Counter(
        (element.tag, tuple(sorted(element.attrib)))
        for element in _elements(html)
        if element.attrib.get("class") != "nbf-cc"
    )


def raw_hidden(html: str) -> set[str]:
    """Return the hidden characters that a browser would find in the text and attributes of `html`."""
    found = {char for char in html if char in _HIDDEN}
    for element in _elements(html):
        for text in (element.text or "", element.tail or "", *element.attrib.values()):
            found |= {char for char in text if char in _HIDDEN}
    return found


def _elements(html: str):
    tree = html5lib.parseFragment(html, namespaceHTMLElements=False)
    return (element for element in tree.iter() if isinstance(element.tag, str))


_HIDDEN = frozenset(HIDDEN)
