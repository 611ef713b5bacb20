"""A registry for pushes: Debian's, with nothing in it, for as long as a step takes."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers import BenchError

_PORT = 5099
_START_S = 30.0
_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "{address}"}}
"""


@contextmanager
def empty(folder: Path) -> Iterator[str]:
    """Serve a folder that is made anew; gives host:port. Raises BenchError."""
    address = f"127.0.0.1:{_PORT}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = folder / "config.yml"
    config.write_text(_CONFIG.format(root=folder / "content", address=address))
    process = subprocess.Popen(
        ["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(process)
        yield address
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", _PORT, timeout=1)
        try:
            connection.request("GET", "/v2/")
            connection.getresponse()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError("docker-registry: does not answer") from error
            time.sleep(0.02)
        finally:
            connection.close()
