"""Going back to a revision: which images its services, and their steps, have then."""

from __future__ import annotations

from stackr.stack.rollback import of_image


def test_steps_with_the_services_image_go_back_with_it() -> None:
    service = {"image": "app", "pre_start": [{"image": "app"}, {"image": "tool"}, {"command": "x"}]}
    assert of_image(service, "sha256:1") == {
        "image": "sha256:1",
        "pre_start": [{"image": "sha256:1"}, {"image": "tool"}, {"command": "x"}],
    }
    assert of_image({"image": "app"}, "sha256:1") == {"image": "sha256:1"}
