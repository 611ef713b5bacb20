"""`stackr logout`: the credentials for a registry."""

from __future__ import annotations

from stackr.cli.objects.command import parser_of
from stackr.cli.objects.login import logout as credentials

__all__ = ["logout"]

logout = parser_of("logout", credentials, "Credentials for a registry", {})
