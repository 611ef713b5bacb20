"""Debian's docker-registry on a free port of the loopback, for as long as a test session."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from host_ports import free_port
from oci_builder import BuiltImage, write_layout

_CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
"""
_PASSWORD = "auth: {{htpasswd: {{realm: test, path: {file}}}}}\n"
_DEADLINE_S = 60.0


@contextmanager
def serve(folder: Path, *, htpasswd: str = "", tls: str = "") -> Iterator[str]:
    """A running registry; gives its host:port.

    htpasswd: the lines of one, to ask for passwords. tls: the settings of `http.tls`.
    """
    address = configure(folder, htpasswd=htpasswd, tls=tls)
    with run(folder, address):
        yield address


def configure(folder: Path, *, htpasswd: str = "", tls: str = "", address: str = "") -> str:
    """Prepare a registry, whose content is in `folder` too, for `run`; gives its host:port.

    address: where it is to listen; else on a free port of the loopback.
    """
    address = address or f"127.0.0.1:{free_port()}"
    text = _CONFIG.format(root=folder / "registry", address=address)
    if htpasswd:
        (folder / "htpasswd").write_text(htpasswd)
        text += _PASSWORD.format(file=folder / "htpasswd")
    if tls:
        text = text.replace("http: {addr", f"http: {{tls: {{{tls}}}, addr")
    (folder / "registry.yml").write_text(text)
    return address


@contextmanager
def run(
    folder: Path, address: str, within: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a registry. within: what leads to another network; several may have one
    content, each on a network of its own.
    """
    argv = [*within, "docker-registry", "serve", str(folder / "registry.yml")]
    with (folder / "registry.log").open("ab") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_until_ready(process, address, within)
            yield process
        finally:
            process.terminate()
            process.wait(_DEADLINE_S)


def push(
    image: BuiltImage, reference: str, folder: Path, *options: str, inside: Sequence[str] = ()
) -> None:
    """Push `image` under host:port/name:tag with skopeo, by an OCI layout in `folder`.

    options: of `skopeo copy`, as `--dest-creds=user:password`. inside: what runs it elsewhere.
    """
    layout = write_layout(image, folder)
    subprocess.run(
        [
            *(*inside, "skopeo", "copy", "--quiet", "--dest-tls-verify=false", *options),
            *(f"oci:{layout}:latest", f"docker://{reference}"),
        ],
        check=True,
        capture_output=True,
        timeout=_DEADLINE_S,
    )


_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2]))).close()"


def _wait_until_ready(
    process: subprocess.Popen[bytes], address: str, within: Sequence[str]
) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    asking = [*within, sys.executable, "-S", "-c", _CONNECT, *address.rsplit(":", 1)]
    while subprocess.run(asking, timeout=_DEADLINE_S, stderr=subprocess.DEVNULL).returncode != 0:
        assert process.poll() is None, "the registry has ended"
        assert time.monotonic() < deadline, "the registry does not answer"
        time.sleep(0.02)
