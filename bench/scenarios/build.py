"""Builds by the docker command on both engines, and a stack whose image is built."""

from __future__ import annotations

import os
import statistics
from dataclasses import replace
from pathlib import Path

from bench import stacks
from bench.work import CLASSIC, REPEATS, Record, Work

FILES = 10_000
STEPS = "build, 10 RUN steps"
_TAG = "bench-build"


def steps(work: Work, record: Record) -> None:
    """Ten small RUN steps, one after the other."""
    _build(work, ten_steps(work.images.small, work.folder), STEPS, record)


def many_files(work: Work, record: Record) -> None:
    """Many small files."""
    context = write_context(
        work.folder / "many-files", f"FROM {work.images.small}\nCOPY files /files\n"
    )
    for number in range(FILES):
        file = context / "files" / str(number // 100) / str(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{number}\n" * 100)
    _build(work, context, "build, COPY of 10,000 files", record)


def large_file(work: Work, record: Record) -> None:
    """One file of 1 GB, of noise, so that nobody saves by what is in it."""
    context = write_context(
        work.folder / "large-file", f"FROM {work.images.small}\nCOPY large /large\n"
    )
    noise = os.urandom(1 << 24)
    with (context / "large").open("wb") as file:
        for _ in range(60):
            file.write(noise)
    try:
        _build(work, context, "build, COPY of 1 GB", record)
    finally:
        (context / "large").unlink()


def up_build(work: Work, record: Record) -> None:
    """`up --build` where nothing has changed, and plain `up` of the same stack."""
    work = replace(work, variables=CLASSIC)
    file = work.stack("up-build", stacks.built(_TAG))
    write_context(
        file.parent / "app",
        f"FROM {work.images.small}\nCOPY . /app\nRUN echo built > /built\n",
    )
    with work.down_on_failure(file):
        work.timed("up --build", file)
        plain = statistics.median(work.timed("up", file) for _ in range(REPEATS))
        again = statistics.median(work.timed("up --build", file) for _ in range(REPEATS))
        work.timed("down", file)
    record("up of a built service, nothing to do", plain)
    record("up --build of it, nothing to do", again)
    record("up --build of it: as many times up", again / plain)
    work.docker("rmi", _TAG)


def _build(work: Work, context: Path, title: str, record: Record) -> None:
    work = replace(work, variables=CLASSIC)
    options = ("build", "--quiet", "--tag", _TAG, "--network", "none")
    record(title, work.docker(*options, "--no-cache", str(context)))
    record(f"{title}: all cached", work.docker(*options, str(context)))
    work.docker("rmi", _TAG)


def ten_steps(base: str, folder: Path) -> Path:
    """The folder of a context with ten steps."""
    text = "".join(f"RUN echo {number} > /file{number}\n" for number in range(10))
    return write_context(folder / "ten-steps", f"FROM {base}\n{text}")


def write_context(folder: Path, dockerfile: str) -> Path:
    """Make the folder with its Dockerfile; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    return folder
