"""stackr: whole environments of containers from one Compose file.

    import stackr

    stack = stackr.Stack.load("compose.yaml")
    stack.up(stackr.UpOptions(wait=True))

The names of `__all__` are its public interface; docs/library.md describes them.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, which would take as long to import as all else here
if TYPE_CHECKING:
    from stackr.public import *  # noqa: F403 - the names of `__all__`
    from stackr.version import __version__

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
    "__version__",
    "events",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """The public names, imported at their first use.

        The one place where that is right: the client of the warm process and `stackr.errors` are
        imported through this package as well, and must not pay for what they do not use.
        """
        if name == "__version__":
            from stackr.version import __version__

            return __version__
        if name in __all__:
            from stackr import public

            return getattr(public, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
