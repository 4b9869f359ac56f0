"""The widgets: ``UploadWidget``, the door for whoever would rather drop a file, and ``FileBrowser``, the table of all.

Only the kernel holds the key and talks to the Files API. The browser's bytes come to it over one of two lanes and are
sent on while they arrive::

    browser (static/upload.js)          Jupyter server               kernel
      File ── HTTP lane: PUT ─────────▶ nbfiles/server ──▶ spool ──▶ Desk ──▶ TransferManager ──▶ Files API
           └─ comm lane: 8 MiB pieces ───────────────────▶ spool ──▶

What the two ends say to each other is in ``_desk.py``, and for the browser, whose rows travel once, in ``_shelf.py``.
"""

from nbfiles.widget._browser import FileBrowser
from nbfiles.widget._upload import UploadWidget

__all__ = ["FileBrowser", "UploadWidget"]
