"""The labels by which stackr, and Docker Compose, find what belongs to a project.

`com.docker.compose.*` are Compose's own, so that both tools see one project; `io.stackr.*` keep
what Compose does not: the whole resolved service, and what its mounted files held.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BUILD",
    "COMPOSE_VERSION",
    "CONFIG_FILES",
    "CONFIG_HASH",
    "CONTAINER_NUMBER",
    "DEPENDS_ON",
    "DOCUMENT_HASH",
    "DOCUMENT_KEY",
    "ENVIRONMENT_FILE",
    "EXPIRES",
    "EXPIRES_WITH_VOLUMES",
    "FOLDER",
    "FORMAT",
    "HISTORY",
    "HISTORY_ENTRY",
    "HISTORY_NUMBER",
    "HOOK",
    "IMAGE",
    "ISOLATED",
    "NETWORK",
    "ONEOFF",
    "PRE_START",
    "PROJECT",
    "REPLACE",
    "RESTART_UNHEALTHY",
    "REVISION",
    "REVISION_STATUS",
    "REVISION_USES",
    "SEEN",
    "SERVICE",
    "SLUG",
    "SPEC",
    "STACK_IMAGE",
    "STACK_NAMESPACE",
    "STANDBY",
    "STEP_FOR",
    "STEP_HASH",
    "VERSION",
    "VOLUME",
    "WORKING_DIR",
]

PROJECT: Final = "com.docker.compose.project"
SERVICE: Final = "com.docker.compose.service"
CONTAINER_NUMBER: Final = "com.docker.compose.container-number"
ONEOFF: Final = "com.docker.compose.oneoff"
CONFIG_HASH: Final = "com.docker.compose.config-hash"
WORKING_DIR: Final = "com.docker.compose.project.working_dir"
CONFIG_FILES: Final = "com.docker.compose.project.config_files"
ENVIRONMENT_FILE: Final = "com.docker.compose.project.environment_file"
DEPENDS_ON: Final = "com.docker.compose.depends_on"
IMAGE: Final = "com.docker.compose.image"
NETWORK: Final = "com.docker.compose.network"
VOLUME: Final = "com.docker.compose.volume"
VERSION: Final = "com.docker.compose.version"
REPLACE: Final = "com.docker.compose.replace"
SLUG: Final = "com.docker.compose.slug"
HOOK: Final = "com.docker.compose.hook"
PRE_START: Final = "pre_start"
"""What HOOK says of a container that runs a step of `pre_start`."""

SPEC: Final = "io.stackr.spec"
"""The resolved service, network or volume as compact JSON: what a later diff compares with."""
REVISION: Final = "io.stackr.revision"
"""The first 12 hex digits of the hash of the whole resolved project."""
REVISION_STATUS: Final = "io.stackr.revision.status"
"""Of a revision that a cluster keeps: whether it was applied."""
REVISION_USES: Final = "io.stackr.revision.uses"
"""The names of the configs and secrets that going back to it needs, a blank between two."""
FORMAT: Final = "io.stackr.format"
"""The version of what SPEC holds."""
BUILD: Final = "io.stackr.build"
"""Of an image: what it was built from, by `stackr.build.record`."""
STANDBY: Final = "io.stackr.standby"
"""With "true", an engine that can hand over starts the container without its ports and aliases."""
RESTART_UNHEALTHY: Final = "io.stackr.restart_unhealthy"
"""Whether, and how often, an engine that can restarts a container that has become unhealthy."""

ISOLATED: Final = "io.stackr.isolated"
"""The name of an isolated copy of a stack, on all that it has."""
FOLDER: Final = "io.stackr.folder"
"""The folder that an isolated copy is of, and goes with."""
SEEN: Final = "io.stackr.folder.seen"
"""Where that folder was seen: the host's name, and the number of the device that it is on."""

STEP_HASH: Final = "io.stackr.step.hash"
"""Which step of `pre_start` a container runs."""
STEP_FOR: Final = "io.stackr.step.for"
"""The ID of the service's container that waits for the step."""

HISTORY: Final = "io.stackr.history"
"""The project whose revision a volume holds; such a volume has no data, only labels."""
HISTORY_NUMBER: Final = "io.stackr.history.number"
HISTORY_ENTRY: Final = "io.stackr.history.entry"
"""A revision: compressed JSON in base 85."""

STACK_NAMESPACE: Final = "com.docker.stack.namespace"
"""The project of a service, network, config or secret of a Swarm, as docker's `stack` sets it."""
STACK_IMAGE: Final = "com.docker.stack.image"
"""The image of a service of a Swarm as the stack file has it; its spec has the digest as well."""
DOCUMENT_HASH: Final = "io.stackr.hash"
"""`workloads.Document.hash` of what stackr has written: whoever changes the document, changes not
this. So is an update known that the engine has rolled back by itself."""
DOCUMENT_KEY: Final = "io.stackr.key"
"""The stack file's name of what a document is about: `web`, for `demo_web`."""
EXPIRES: Final = "io.stackr.expires"
"""Unix seconds after which whoever looks removes the stack that a cluster's config is of."""
EXPIRES_WITH_VOLUMES: Final = "io.stackr.expires.volumes"
"""With "true", what its tasks have in volumes goes as well."""

COMPOSE_VERSION: Final = "2.40.3"
"""The Docker Compose whose labels and behaviour these are."""
