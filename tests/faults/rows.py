"""Every row of the fault matrix, by its name: whoever imports this has registered them all."""

from __future__ import annotations

from . import kernels, local_api, local_damage, network, program, sources  # noqa: F401  # each registers its rows
from .trials import ROWS

__all__ = ["ROWS"]
