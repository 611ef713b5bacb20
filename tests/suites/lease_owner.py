"""A process that asks an engine for a lease, says what it got, and lives until its stdin ends.

python lease_owner.py SOCKET BODY     BODY: the JSON of the request
"""

from __future__ import annotations

import json
import sys

from engine_request import request


def main() -> None:
    socket, body = sys.argv[1:]
    status, answer = request(socket, "POST", "/stackr/v1/leases", json.loads(body))
    print(json.dumps({"status": status, "answer": answer}), flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    main()
