"""When an image may go: Docker's conflicts, in its words."""

from __future__ import annotations

import pytest

from stackr.registry.reference import parse_reference
from stackr.runtime.engine.image.model import ImageUse, StoredImage
from stackr.runtime.engine.image.removal import find_conflict, has_to_stay, is_single_repository

ID = "sha256:" + "ab" * 32
DIGEST = "sha256:" + "0" * 64
RUNNING = ImageUse("c" * 64, running=True)
STOPPED = ImageUse("d" * 64, running=False)


def image(*names: str) -> StoredImage:
    references = [parse_reference(name) for name in names]
    return StoredImage(
        ID, {"rootfs": {"diff_ids": []}}, (), (), 0, "", {str(name): name for name in references}
    )


ONE = image("app:1", f"app@{DIGEST}")
TWO = image("app:1", "other:1")


@pytest.mark.parametrize(
    ("stored", "text", "uses", "force", "message"),
    [
        (ONE, "app:1", [], False, None),
        (ONE, "app:1", [STOPPED], True, None),
        (ONE, "app:1", [RUNNING], True, None),
        (TWO, "app:1", [RUNNING], False, None),
        (ONE, "app:1", [STOPPED], False, (
            'conflict: unable to remove repository reference "app:1" (must force) - container'
            " dddddddddddd is using its referenced image abababababab"
        )),
        (ONE, ID, [], False, None),
        (ONE, "abab", [RUNNING], True, (
            "conflict: unable to delete abababababab (cannot be forced) - image is being used by"
            " running container cccccccccccc"
        )),
        (ONE, ID, [STOPPED], True, None),
        (ONE, ID, [STOPPED], False, (
            "conflict: unable to delete abababababab (must be forced) - image is being used by"
            " stopped container dddddddddddd"
        )),
        (TWO, ID, [], True, None),
        (TWO, ID, [], False, (
            "conflict: unable to delete abababababab (must be forced) - image is referenced in"
            " multiple repositories"
        )),
    ],
)  # fmt: skip
def test_conflicts(
    stored: StoredImage, text: str, uses: list[ImageUse], force: bool, message: str | None
) -> None:
    conflict = find_conflict(stored, text, uses, force=force)
    assert (conflict.message if conflict else None) == message


def test_single_repository() -> None:
    def single(*names: str) -> bool:
        return is_single_repository(parse_reference(name) for name in names)

    assert single()
    assert single("a:1")
    assert single("a:1", f"a@{DIGEST}")
    assert single(f"a@{DIGEST}", "a@sha256:" + "1" * 64)
    assert not single("a:1", "a:2")
    assert not single("a:1", f"b@{DIGEST}")


def test_an_image_that_others_stand_on_cannot_be_forced() -> None:
    conflict = find_conflict(ONE, ID, [], force=True, has_children=True)
    assert conflict is not None
    assert conflict.message == (
        "conflict: unable to delete abababababab (cannot be forced) - image has dependent child"
        " images"
    )
    assert find_conflict(ONE, "app:1", [], force=True, has_children=True) is None


@pytest.mark.parametrize(
    ("uses", "has_children", "force", "stays"),
    [
        ([], False, False, False),
        ([RUNNING], False, True, True),
        ([STOPPED], False, True, False),
        ([STOPPED], False, False, True),
        ([STOPPED, RUNNING], False, True, True),
        ([], True, True, True),
    ],
)
def test_an_image_without_a_name_stays_for_what_needs_it(
    uses: list[ImageUse], has_children: bool, force: bool, stays: bool
) -> None:
    assert has_to_stay(uses, has_children=has_children, force=force) is stays
