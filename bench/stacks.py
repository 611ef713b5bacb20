"""The stack files that are measured: plain texts, the same for both peers."""

from __future__ import annotations

import json

FIRST_PORT = 20000
SERVED_PORT = 8000

# Ends at once when it is told to, so that `down` measures the engine alone.
WAIT = "trap exit TERM; sleep 1000000 & wait"
SERVE = f"httpd -p {SERVED_PORT} -h /www; {WAIT}"


def flat(count: int, image: str) -> str:
    """`count` services that know nothing of each other, each with a published port."""
    return _dump({f"web{n:02d}": _server(n, image) for n in range(count)})


def chain(count: int, image: str) -> str:
    """`count` services, each started after the one before it."""
    services = {f"web{n:02d}": _server(n, image) for n in range(count)}
    for n in range(1, count):
        services[f"web{n:02d}"]["depends_on"] = {
            f"web{n - 1:02d}": {"condition": "service_started"}
        }
    return _dump(services)


def described(count: int, image: str) -> str:
    """`count` services with what a grown file says of each; for reading, not for running."""
    services = {}
    for n in range(count):
        services[f"web{n:03d}"] = _server(n, image) | {
            "environment": {f"SETTING_{i}": f"value {i} of ${{USER:-nobody}}" for i in range(8)},
            "labels": {f"org.example.label{i}": str(i) for i in range(4)},
            "volumes": [f"data{n:03d}:/data", "./config:/config:ro"],
            "healthcheck": {"test": ["CMD", "true"], "interval": "10s", "retries": 3},
            "deploy": {"resources": {"limits": {"cpus": "0.5", "memory": "64M"}}},
        }
    volumes: dict[str, None] = {f"data{n:03d}": None for n in range(count)}
    return json.dumps({"services": services, "volumes": volumes}, indent=2)


def only_image(image: str) -> str:
    """One service, for pulling its image."""
    return _dump({"one": {"image": image}})


def built(tag: str) -> str:
    """One service, whose image is built of the folder `app` beside the file."""
    return _dump({"one": {"build": "./app", "image": tag, "command": ["sh", "-c", WAIT]}})


def ports(count: int) -> range:
    """The host's ports that the first `count` services answer on."""
    return range(FIRST_PORT, FIRST_PORT + count)


def _server(number: int, image: str) -> dict[str, object]:
    return {
        "image": image,
        "command": ["sh", "-c", SERVE],
        "ports": [f"{FIRST_PORT + number}:{SERVED_PORT}"],
    }


def _dump(services: dict[str, dict[str, object]]) -> str:
    # JSON is YAML; both peers read it.
    return json.dumps({"services": services}, indent=2)
