"""The Jupyter Server extension: one route on which a browser's file lands where the kernel reads it.

It lives in the server's process, holds no key, keeps no state and calls nobody. Importing it loads neither pandas nor
httpx nor IPython, because every Jupyter server on the machine imports it at its start.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _load_jupyter_server_extension(serverapp: ServerApp) -> None:
    """Add the landing route to `serverapp`; Jupyter Server calls this when it starts."""
    from nbfiles.server._handlers import LandingHandler

    # Any token, even one with slashes: a path that no handler knows would have its body read into memory first.
    route = re.escape(serverapp.base_url.rstrip("/")) + r"/nbfiles/landing/(.*)"
    serverapp.web_app.add_handlers(".*$", [(route, LandingHandler)])  # type: ignore[no-untyped-call]  # theirs
