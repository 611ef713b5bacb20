"""The configuration of an image that was built. Source: OCI image-spec config.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from stackr.runtime.engine.build.stage import StageResult
from stackr.runtime.engine.image.platform import Platform

__all__ = ["image_document", "settled"]


def image_document(
    result: StageResult, platform: Platform, labels: Mapping[str, str], *, created: str = ""
) -> bytes:
    """The configuration's bytes. created: RFC 3339, of the image and of steps without a layer."""
    config = dict(result.config)
    history = [dict(entry) for entry in result.history]
    if labels:
        config["Labels"] = {**(config.get("Labels") or {}), **labels}
        text = " ".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
        history.append({"created_by": f"LABEL {text}", "empty_layer": True})
    for entry in history:
        if created:
            entry.setdefault("created", created)
    value = {
        "architecture": platform.architecture,
        "variant": platform.variant,
        "os": platform.os,
        "created": created,
        "author": result.author,
        "config": {key: each for key, each in config.items() if each},
        "history": history,
        "rootfs": {"type": "layers", "diff_ids": list(result.layers)},
    }
    filled = {key: each for key, each in value.items() if each or key == "config"}
    return json.dumps(filled, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode(
        "utf-8", "replace"
    )


def settled(document: bytes) -> str:
    """The key under which it is remembered when an image of this configuration was first built."""
    return f"image-{hashlib.sha256(document).hexdigest()}"
