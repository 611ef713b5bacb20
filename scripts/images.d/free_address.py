"""Print an address on loopback that nobody listens on: the port asked for, else any free one."""

import socket
import sys

for port in (int(sys.argv[1]), 0):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        sys.stdout.write(f"127.0.0.1:{probe.getsockname()[1]}\n")
        break
