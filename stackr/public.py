"""What `import stackr` gives: each public name, from where it lives."""

from __future__ import annotations

from stackr.errors import InvalidProject, StackrError
from stackr.planner.desired.image_build import BuildOptions
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.stack import events
from stackr.stack.environment import Environment
from stackr.stack.events import EnvironmentReady
from stackr.stack.live import LiveStack
from stackr.stack.log_lines import LogLine
from stackr.stack.log_request import LogRequest
from stackr.stack.result import ChangeFailed, Completed, Result
from stackr.stack.stack import Stack
from stackr.stack.testenv.options import EnvironmentOptions
from stackr.stack.testenv.run import EnvironmentNotReady

__all__ = [
    "BuildOptions",
    "ChangeFailed",
    "Completed",
    "DownOptions",
    "Environment",
    "EnvironmentNotReady",
    "EnvironmentOptions",
    "EnvironmentReady",
    "InvalidProject",
    "LiveStack",
    "LogLine",
    "LogRequest",
    "Plan",
    "Result",
    "Stack",
    "StackrError",
    "UpOptions",
    "events",
]
