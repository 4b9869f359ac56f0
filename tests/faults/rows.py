"""Every row of the fault matrix, by its name: whoever imports this has registered them all."""

from __future__ import annotations

from . import kernels, ledger, local_api, local_damage, local_forms, network, program, sources  # noqa: F401  # each registers its rows
from .trials import ROWS

__all__ = ["ROWS"]
