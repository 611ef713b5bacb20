"""`stackr image`: single images, whatever project they are of, and what builds have left."""

from __future__ import annotations

from stackr.cli.objects.group import ObjectGroup, Sub

__all__ = ["image"]

image = ObjectGroup(
    "image",
    "Single images, as with the docker CLI.",
    {
        "history": Sub("image.ls", "history", "List the steps that an image is made of"),
        "import": Sub("image.archives", "import_", "Make an image of a tar archive of files"),
        "inspect": Sub("inspect", "inspect_image", "Describe images"),
        "load": Sub("image.archives", "load", "Take the images of a tar archive"),
        "ls": Sub("image.ls", "ls", "List images", ("list",)),
        "prune": Sub("image.prune", "prune", "Remove what is not used", takes_json=True),
        "pull": Sub("image.transfer", "pull", "Bring an image here from its registry"),
        "push": Sub("image.transfer", "push", "Bring an image to its registry"),
        "rm": Sub("image.names", "rm", "Remove images, or names of them", ("remove",)),
        "save": Sub("image.archives", "save", "Write images as a tar archive"),
        "tag": Sub("image.names", "tag", "Give an image a further name"),
    },
    {"build": "stackr build makes what a stack file says, and docker build works on the engine"},
)
