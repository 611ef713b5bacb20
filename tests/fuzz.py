"""`make fuzz`: the property tests of tests/unit, on made-up input, for a given time.

    FUZZ_SECONDS=60 FUZZ_ONLY=spec make fuzz

Where atheris is installed, input is chosen by what of stackr it reaches; else at random.
Each test runs in a process of its own. What makes one fail is printed, and the exit code is 1.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

UNIT = Path(__file__).parent / "unit"
_MEMORY_MIB = 2048
_BUFFER_BYTES = 8192


def _modules() -> list[Path]:
    """Test modules with properties in them."""
    only = os.environ.get("FUZZ_ONLY", "")
    tests = sorted(UNIT.rglob("test_*.py"))
    found = [path for path in tests if only in str(path.relative_to(UNIT))]
    return [path for path in found if "@given(" in path.read_text(encoding="utf-8")]


def _properties(path: Path) -> Iterator[tuple[str, Callable[[bytes], Any]]]:
    """The property tests of a module that need no fixture, each as a function of a buffer."""
    sys.path[:0] = [str(path.parent), str(Path(__file__).parent / "suites")]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, test in vars(module).items():
        is_property = hasattr(test, "hypothesis") and not inspect.iscoroutinefunction(test)
        if is_property and not inspect.signature(test).parameters:
            yield name, test.hypothesis.fuzz_one_input


def main() -> int:
    """Give every property its share of the time; 1 if one failed."""
    seconds = float(os.environ.get("FUZZ_SECONDS", "60"))
    targets = [(path, name) for path in _modules() for name, _ in _properties(path)]
    failed = 0
    for path, name in targets:
        share = max(seconds / len(targets), 1)
        with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
            arguments = [sys.executable, __file__, str(path), name, str(share)]
            done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
        sys.stdout.write(f"{name}: {'failed' if done.returncode else 'passed'}\n")
        if done.returncode:
            failed += 1
            sys.stdout.write(f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(targets) - failed} passed, {failed} failed\n")
    return int(failed > 0)


def fuzz(path: Path, name: str, seconds: float) -> None:
    """Run one property; an exception or the exit code tells of a failure."""
    try:
        import atheris
    except ImportError:
        _at_random(dict(_properties(path))[name], seconds)
        return
    with atheris.instrument_imports(include=["stackr"]):
        test = dict(_properties(path))[name]
    options = [
        f"-max_total_time={max(int(seconds), 1)}",
        f"-rss_limit_mb={_MEMORY_MIB}",
        f"-max_len={_BUFFER_BYTES}",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options], test)
    atheris.Fuzz()


def _at_random(test: Callable[[bytes], Any], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        test(os.urandom(_BUFFER_BYTES))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        fuzz(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
    else:
        sys.exit(main())
