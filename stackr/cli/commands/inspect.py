"""`stackr inspect`: any thing of the engine by its name."""

from __future__ import annotations

from stackr.cli.objects.command import parser_of
from stackr.cli.objects.inspect import inspect as described

__all__ = ["inspect"]

inspect = parser_of("inspect", described, "Describe things", {})
