"""The one TLS context: the system's certificates and those that a person named; verification is never off."""

from __future__ import annotations

import ssl
from functools import cache

from nbfiles._errors import InputError
from nbfiles._names import visible


@cache
def ssl_context(ca_bundle: str, cert_file: str, cert_dir: str) -> ssl.SSLContext:
    """Return the one context of all workers: the system's certificates, and those named.

    A context a client costs a third of the throughput of many small files. Verification cannot be switched off.

    Parameters
    ----------
    ca_bundle : str
        A PEM file, or ``""``.
    cert_file, cert_dir : str
        ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``. As arguments, so that one that is set later in the notebook counts.

    Raises
    ------
    InputError
        If a file of certificates is missing or is none.
    """
    import truststore

    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for path, said in ((ca_bundle, "ca_bundle"), (cert_file, "SSL_CERT_FILE")):
        if not path:
            continue
        try:
            context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError):
            raise InputError(f"{said} names no file of certificates: {visible(path)}", "It must be PEM.") from None
    if cert_dir:
        context.load_verify_locations(capath=cert_dir)
    return context
