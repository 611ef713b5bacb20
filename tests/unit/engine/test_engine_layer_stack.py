"""What is read of a container's layers, one of which somebody has removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackr.runtime.engine.snapshot.lookup import LayerStack


@pytest.mark.parametrize(
    "damage",
    [lambda path: None, lambda path: path.touch(), lambda path: path.symlink_to(path.name)],
    ids=["missing", "file", "loop"],
)
def test_the_other_layers_are_read(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """The container runs on, and its users are looked up."""
    (tmp_path / "layer" / "etc").mkdir(parents=True)
    (tmp_path / "layer" / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    damage(tmp_path / "upper")
    stack = LayerStack([tmp_path / "upper", tmp_path / "layer"])
    assert stack.read("/etc/passwd") == b"root:x:0:0::/:/bin/sh\n"
    assert stack.list_directory("/") == ["etc"]
    with pytest.raises(OSError, match="upper"):
        LayerStack([tmp_path / "upper"]).stat("/")
