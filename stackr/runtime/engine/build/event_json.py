"""A build's events as JSON, for stackr's own client; see docs/engine-api.md."""

from __future__ import annotations

import base64
from typing import Any

from stackr.runtime.engine.build.progress import (
    BuildEvent,
    Built,
    Notice,
    Output,
    Pulling,
    StageDone,
    StepContainer,
    StepDone,
    StepStarted,
)

__all__ = ["event_json"]


def event_json(event: BuildEvent) -> dict[str, Any]:
    match event:
        case StepStarted():
            value = {"Kind": "step", **_place(event), "Total": event.total}
            return value | {"Text": event.text, "Line": event.line}
        case StepContainer():
            return {"Kind": "container", **_place(event), "Id": event.id, "Gone": event.is_gone}
        case Output():
            data = base64.b64encode(event.data).decode()
            return {"Kind": "output", **_place(event), "Stream": event.stream, "Data": data}
        case StepDone():
            value = {"Kind": "done", **_place(event), "Cached": event.cached}
            value |= {"Layer": event.layer, "Size": event.size_bytes}
            return value | {"Seconds": round(event.duration_s, 6)}
        case StageDone():
            return {"Kind": "stage", "Stage": event.stage}
        case Pulling():
            each = event.progress
            value = {"Kind": "pull", **_place(event), "Status": each.status, "Id": each.id or ""}
            return value | {"Current": each.current, "Total": each.total}
        case Notice():
            return {"Kind": "notice", "Text": event.text, "Line": event.line}
        case Built():
            value = {"Kind": "built", "Image": event.image_id, "Tags": list(event.tags)}
            keys = {"Keys": list(event.keys), "OwnKeys": list(event.own_keys)}
            return value | keys if event.keys else value


def _place(event: StepStarted | StepContainer | StepDone | Output | Pulling) -> dict[str, Any]:
    return {"Stage": event.stage, "Number": event.number}
