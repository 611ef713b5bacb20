"""Wait until the registry at ADDRESS answers; exit 1 when it has not within 60 seconds."""

import sys
import time
import urllib.error
import urllib.request

deadline = time.monotonic() + 60
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
while time.monotonic() < deadline:
    try:
        opener.open(f"http://{sys.argv[1]}/v2/", timeout=2).close()
    except (urllib.error.URLError, OSError):
        time.sleep(0.05)
    else:
        sys.exit(0)
sys.exit(1)
