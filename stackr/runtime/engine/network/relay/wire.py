"""What the daemon and the relay say to each other.

As `linux/sidecar.py` has it; what is served, in its greeting, is [KEY, IS_RESERVED] of each port.

  -> {"serve": ID, "ports": [PORT...]}   with descriptors beside it: a pidfd of the container's
                                         first process, and each port's socket
  -> {"lead": ID, "ports": [PORT...]}    with the pidfd: ports that it has are this container's from
                                         now on; connections stay where they are
  -> {"cut": ID}                         end the connections to a container
  -> {"close": [KEY...]}                 <- {}: these ports are free
  -> {"forget": ID}                      <- {}: all of its ports are, and its connections ended
  -> {"count": ID}                       <- {"clients": 3}: how many it serves
  -> {"lend": [KEY...]}                  <- {"lent": [KEY...]}, each with a duplicate of its socket

  KEY: [protocol, host address, host port]
  PORT: [KEY, address, port, IS_RESERVED]; the socket of a reserved one is held elsewhere, too

Increase PROTOCOL with any change: a daemon replaces a relay that speaks another.
"""

from __future__ import annotations

__all__ = ["PORTS", "PROTOCOL"]

PROTOCOL = 2
PORTS = 200  # of a message, each with a descriptor
