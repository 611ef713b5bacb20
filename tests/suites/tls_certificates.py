"""Certificates for an engine and its clients, made by openssl in a moment, good for two days."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["make_certificates"]

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


def make_certificates(folder: Path, *addresses: str) -> Path:
    """Make `ca.pem`, and signed by it `server.pem` of `addresses` and 127.0.0.1, and a client's.

    The client's are `cert.pem` and `key.pem`, as the docker CLI wants them. Gives `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = ",".join(f"IP:{address}" for address in ("127.0.0.1", *addresses))
    ca = ("-x509", "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=test authority")
    _openssl(folder, "req", *_KEY, *ca)
    _signed(folder, "server.pem", "server-key.pem", f"subjectAltName={names},DNS:localhost")
    _signed(folder, "cert.pem", "key.pem", "extendedKeyUsage=clientAuth")
    return folder


def _signed(folder: Path, certificate: str, key: str, extension: str) -> None:
    by = ("-CA", "ca.pem", "-CAkey", "ca-key.pem", "-addext", extension)
    subject = ("-subj", f"/CN={certificate}")
    _openssl(folder, "req", "-x509", *_KEY, *by, "-keyout", key, "-out", certificate, *subject)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
