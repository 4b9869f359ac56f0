"""Prints the lowest version that pyproject.toml allows of every dependency, as pip constraints.

``pip install -c`` of them, and the unit tests, show that the declared lower bounds are true.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path


def constraints() -> list[str]:
    """Return ``name==version`` for the package's own dependencies and its ``formats``."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["formats"]]
    return [re.sub(r"^([\w.-]+)(?:\[.*\])?>=([\w.]+).*$", r"\1==\2", one) for one in declared]


if __name__ == "__main__":
    print("\n".join(constraints()))
