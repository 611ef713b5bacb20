"""Give the image of an OCI layout a health check: LAYOUT ARGV...

OCI's image configuration has no field for it, Docker's has, and the tools that make images keep to
the former. Rewrites the configuration, the manifest and the index of a layout with one image.
"""

import hashlib
import json
import pathlib
import sys

layout = pathlib.Path(sys.argv[1])


def read_blob(descriptor: dict) -> dict:
    return json.loads((layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes())


def write_blob(descriptor: dict, content: dict) -> None:
    """Store the content and make the descriptor point to it."""
    data = json.dumps(content, separators=(",", ":")).encode()
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(data)
    descriptor.update(digest=f"sha256:{digest}", size=len(data))


index = json.loads((layout / "index.json").read_bytes())
manifest = read_blob(index["manifests"][0])
config = read_blob(manifest["config"])
config["config"]["Healthcheck"] = {
    "Test": ["CMD", *sys.argv[2:]],
    "Interval": 2_000_000_000,
    "Timeout": 5_000_000_000,
    "StartPeriod": 10_000_000_000,
    "Retries": 5,
}
write_blob(manifest["config"], config)
write_blob(index["manifests"][0], manifest)
(layout / "index.json").write_text(json.dumps(index))
