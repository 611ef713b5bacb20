"""The public interface: what it has, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import stackr
from stackr import public
from stackr.version import __version__


def test_its_names() -> None:
    assert set(stackr.__all__) == {*public.__all__, "__version__"}
    for name in public.__all__:
        assert getattr(stackr, name) is getattr(public, name)
        assert name in dir(stackr)
    assert stackr.__version__ == __version__
    unknown = "nothing"
    with pytest.raises(AttributeError, match=unknown):
        getattr(stackr, unknown)


def test_the_events_that_are_reported_are_all_named() -> None:
    union = {each.__name__ for each in stackr.events.StackEvent.__args__}
    assert union <= set(stackr.events.__all__)


def test_errors_do_not_pay_for_it() -> None:
    program = "import sys, stackr.errors; print(*(n for n in sys.modules if 'stackr' in n))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["stackr", "stackr.errors"]
