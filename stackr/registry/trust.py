"""Whose certificates a registry may have, and which one we show it.

As Docker has it: beside the system's authorities those of `/etc/docker/certs.d/HOST:PORT/*.crt`,
and the pairs `*.cert` and `*.key` there to be known by. Source: Docker, "Verify repository client
with certificates".
"""

from __future__ import annotations

import ssl
from pathlib import Path

__all__ = ["trusted"]

_FOLDER = Path("/etc/docker/certs.d")


def trusted(domain: str, *, verify: bool) -> ssl.SSLContext | bool:
    """The settings of TLS for a registry; whether to verify at all, where it has none of its own.

    Raises OSError for a file that is no certificate.
    """
    folder = _FOLDER / domain
    if not folder.is_dir():
        return verify
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for file in sorted(folder.glob("*.crt")):
        context.load_verify_locations(file)
    for file in sorted(folder.glob("*.cert")):
        context.load_cert_chain(file, file.with_suffix(".key"))
    return context
