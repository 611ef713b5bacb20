"""What an engine would refuse or not find in a stack, told with its place before anything is made.

Loading lets it pass, as Docker Compose does, since `config` shows what is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from stackr.errors import InvalidArgument, InvalidProject
from stackr.spec.model.project import Project
from stackr.spec.problems import Problem, nearest

__all__ = ["check_accepted", "profiles_hint", "unknown_profiles"]

_USUAL_IMAGE = re.compile(r"[a-z0-9]+(?:[._/-][a-z0-9]+)*(?::[a-z0-9_][a-z0-9_.-]*)?", re.ASCII)
"""Names that need no grammar."""
_DRIVE = re.compile(r"[A-Za-z]:")


def check_accepted(project: Project, images: Mapping[str, str]) -> None:
    """Raises InvalidProject for names of images, and for places of mounts, that no engine takes.

    images: of the services, by their names.
    """
    problems = [
        *(
            each
            for name, image in images.items()
            if image and _USUAL_IMAGE.fullmatch(image) is None
            if (each := _image_problem(project, name, image))
        ),
        *_mount_problems(project),
    ]
    if problems:
        raise InvalidProject(str(problems[0]), problems=problems, hint=problems[0].hint)


def _image_problem(project: Project, name: str, image: str) -> Problem | None:
    # The grammar of names, which no plan needs where they are usual.
    from stackr.registry.reference import parse_reference

    try:
        parse_reference(image)
    except InvalidArgument as error:
        message = error.message
        if message == "invalid reference format":
            message = f'{message}: "{image}"'
        return _problem(project, f"services.{name}.image", message, _image_hint(image))
    return None


def _image_hint(image: str) -> str:
    if image.lower() != image and image.isascii() and " " not in image:
        return f'write "{image.lower()}"'
    if " -" in image:
        return "options of docker run are keys of their own here, such as ports and volumes"
    if not image.isascii():
        return "a sign in it is no plain one (a typeset quote, perhaps): type it anew"
    return "write NAME:TAG, such as nginx:1.27 or registry.example:5000/team/app:2"


def _mount_problems(project: Project) -> Iterator[Problem]:
    for name, service in project.services.items():
        for index, volume in enumerate(service.volumes):
            if volume.target and not volume.target.startswith(("/", "$")):
                path = f"services.{name}.volumes[{index}]"
                message = f"invalid mount path: '{volume.target}' mount path must be absolute"
                yield _problem(project, path, message, _mount_hint(volume.target))


def _mount_hint(target: str) -> str:
    if _DRIVE.match(target):
        return "one letter before a colon is a drive of Windows: give the volume a longer name"
    return f'write "/{target}"'


def _problem(project: Project, path: str, message: str, hint: str) -> Problem:
    place = project.position(path)
    where = f"{place}: " if place is not None else ""
    return Problem.of(f"{where}{path}: {message}", hint=hint, snippet="")


def unknown_profiles(project: Project) -> Iterator[str]:
    """A warning for each profile that is asked for and that no service has."""
    known = _profiles(project)
    for given in project.profiles:
        if given and given != "*" and given not in known:
            near = nearest(given, known)
            yield f'no service has the profile "{given}"' + (f": {near}" if near else "")


def profiles_hint(project: Project) -> str | None:
    """Which profile enables a service, where none is enabled; None where there are none at all."""
    known = _profiles(project)
    for given in project.profiles:
        if given and given not in known and (near := nearest(given, known)):
            return f'no service has the profile "{given}": {near}'
    return f"each has a profile: --profile {known[0]} enables some" if known else None


def _profiles(project: Project) -> list[str]:
    services = (*project.services.values(), *project.disabled_services.values())
    return sorted({name for each in services for name in each.profiles})
