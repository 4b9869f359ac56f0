"""The suite can fail: bugs that are planted turn it red. One of them a day, or all with ``NBFILES_TRIALS=full``."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from .bugs.__main__ import CHECKOUT, bugs, check
from .trials import FULL

BUGS = bugs()
CHOSEN = BUGS if FULL else [BUGS[datetime.now(UTC).toordinal() % len(BUGS)]]

SEES = """\
import pathlib, sys
print("a redirect is followed")
sys.exit("follow_redirects=True" in pathlib.Path("nbfiles/_client.py").read_text())
"""


@pytest.mark.parametrize("bug", CHOSEN, ids=[bug.name for bug in CHOSEN])
def test_a_planted_bug_is_noticed(bug):
    """The tests of the promise that a bug breaks are green without it, and red because of it."""
    assert check([bug])


def test_every_bug_can_be_planted():
    """There are twelve bugs, and each patch applies to the code as it is now."""
    assert list(range(1, 13)) == [int(bug.name.partition("-")[0]) for bug in BUGS]
    planted = [["git", "apply", "--check", bug.patch] for bug in BUGS]
    assert [] == [command for command in planted if subprocess.run(command, cwd=CHECKOUT, check=False).returncode]


@pytest.mark.parametrize(
    ("code", "shows", "noticed"),
    [
        (SEES, "a redirect is followed", True),
        (SEES, "another reason", False),
        ("pass", "", False),
        ("raise SystemExit(1)", "", False),
        ("raise SystemExit(5)", "", False),
    ],
)
def test_only_the_bug_makes_it_red(code, shows, noticed):
    """Tests that stay green with a bug, fail for another reason, fail without it, or are none, do not notice it."""
    (redirects,) = (bug for bug in BUGS if bug.name.endswith("redirects"))
    assert noticed == check([replace(redirects, group=shlex.join(["python", "-c", code]), shows=shows)])
