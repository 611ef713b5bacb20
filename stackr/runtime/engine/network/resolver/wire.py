"""What the daemon and the resolver say to each other.

As `linux/sidecar.py` has it; what is served, in its greeting, are the containers' IDs.

  -> {"serve": {CONTAINER}}          with three descriptors beside it: the sockets for datagrams and
                                     connections, and a pidfd of the container's first process
  -> {"update": [{CONTAINER}...]}    of containers that are served already, all at once
  -> {"forget": [ID...]}

  CONTAINER: {"id", "endpoints": [ENDPOINT...], "upstreams": [address...] or null for the host's}
  ENDPOINT:  {"container", "network", "network_name", "names", "ipv4", "ipv6", "links"}

Increase PROTOCOL with any change: a daemon replaces a resolver that speaks another.
"""

from __future__ import annotations

__all__ = ["FDS", "FORGOTTEN_IDS", "MAX_CONTAINER", "PROTOCOL"]

PROTOCOL = 2
FDS = 3  # of a container
MAX_CONTAINER = 100 * 1024  # two of them fit one message of a sidecar's
FORGOTTEN_IDS = 100  # of a message
