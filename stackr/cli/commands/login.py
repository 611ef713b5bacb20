"""`stackr login`: the credentials for a registry."""

from __future__ import annotations

from stackr.cli.objects.command import parser_of
from stackr.cli.objects.login import login as credentials

__all__ = ["login"]

login = parser_of("login", credentials, "Credentials for a registry", {})
