"""What every view of a widget loads over the kernel's connection."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from nbfiles.widget._assets import script, style

if TYPE_CHECKING:
    from pathlib import Path

MOST = 40_000  # bytes of JavaScript


@pytest.mark.parametrize("name", ["upload.js", "browser.js"])
def test_the_module_is_whole_small_and_a_module(name: str, tmp_path: Path) -> None:
    """It imports nothing, exports what anywidget calls, is smaller than 40,000 bytes, and node can read it."""
    text = script(name)
    assert MOST > len(text.encode())
    assert "import " not in text
    assert 1 == text.count("export default {")
    path = tmp_path / "module.mjs"
    path.write_text(text, encoding="utf-8")
    subprocess.run(["node", "--check", str(path)], check=True)


def test_the_style_begins_with_the_rules_that_every_output_has() -> None:
    """A view looks like the tables beside it."""
    assert style("upload.css").startswith(".nbf{")
