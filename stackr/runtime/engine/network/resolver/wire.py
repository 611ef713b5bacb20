"""What the daemon and the resolver say to each other.

SOCK_SEQPACKET, one JSON object a message:

  <- {"protocol": 2, "pid": 4711, "serves": [ID...], "more": false}
                                     the greeting, in as many messages as it takes
  -> {"serve": {CONTAINER}}          with three descriptors beside it: the sockets for datagrams and
                                     connections, and a pidfd of the container's first process
  -> {"update": [{CONTAINER}...]}    of containers that are served already, all at once
  -> {"forget": [ID...]}

  CONTAINER: {"id", "endpoints": [ENDPOINT...], "upstreams": [address...] or null for the host's}
  ENDPOINT:  {"container", "network", "network_name", "names", "ipv4", "ipv6", "links"}

Increase PROTOCOL with any change: a daemon replaces a resolver that speaks another.
"""

from __future__ import annotations

__all__ = ["MAX_CONTAINER", "MAX_MESSAGE", "PROTOCOL", "SERVED_IDS"]

PROTOCOL = 2
MAX_MESSAGE = 256 * 1024
MAX_CONTAINER = 100 * 1024  # two of them fit one message
SERVED_IDS = 100  # of a greeting's message
