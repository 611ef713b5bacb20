"""A published port, asked by another host."""

from __future__ import annotations

import re
import time

from bench import other_host
from bench.peers import BenchError, output
from bench.work import Record, Work

_PORT = 20900
_PAGES = "/usr/share/nginx/html"
_LARGE_BYTES = 1 << 30
_NO_LOG = "ln -sf /dev/null /var/log/nginx/access.log"  # whose way has a row of its own
_NGINX = "exec nginx -g 'daemon off;'"
_SERVE = f"truncate -s {_LARGE_BYTES} {_PAGES}/large; {_NO_LOG}; {_NGINX}"
_QUIET = ("-fsS", "-o", "/dev/null")
_SECONDS = 5
_ANSWER_S = 30.0


def published(work: Work, record: Record) -> None:
    """Bytes a second of one large answer, and small requests a second of several clients."""
    work.docker("pull", "--quiet", work.images.web)
    with other_host.client() as (host, address):
        url = f"http://{address}:{_PORT}"
        ports = ("--publish", f"{_PORT}:80")
        with work.container(*ports, work.images.web, "sh", "-c", _SERVE):
            _await_answer(host, url)
            speed = output([*host, "curl", *_QUIET, "-w", "%{speed_download}", f"{url}/large"])
            record("published port: MiB/s", float(speed) / (1 << 20))
            told = output([*host, "wrk", "-t", "1", "-c", "16", "-d", str(_SECONDS), f"{url}/"])
            record("published port: requests/s", _requests(told))
    work.docker("rmi", work.images.web)


def _await_answer(host: list[str], url: str) -> None:
    deadline = time.monotonic() + _ANSWER_S
    while True:
        try:
            output([*host, "curl", *_QUIET, "--max-time", "2", f"{url}/"])
            return
        except BenchError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _requests(told: str) -> float:
    """Of what wrk tells. Raises BenchError where requests failed, as they are too quick."""
    rate = re.search(r"Requests/sec:\s*([\d.]+)", told)
    if rate is None or "Non-2xx" in told or "Socket errors" in told:
        raise BenchError(f"wrk: requests failed: {told}")
    return float(rate[1])
