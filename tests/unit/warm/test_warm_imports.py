"""What the warm server imports beforehand."""

from __future__ import annotations

import subprocess
import sys

_IMPORT = """
import sys
sys.modules |= {"pytest": None, "textual": None}  # as where they are not installed
from stackr.warm.server import import_commands
import_commands()
print(*({"stackr.runtime.engine.daemon", "_pytest"} & set(sys.modules)))
"""


def test_commands_are_imported_where_nothing_but_stackr_is_installed() -> None:
    """The plug-in for pytest is none of them, nor is the dashboard, nor the engine."""
    done = subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
