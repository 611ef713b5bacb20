"""What a build would do, told from text, files and keys alone."""

from __future__ import annotations

import stat
from typing import Any

from stackr.build.cache_key import Ground, chain_id, key_of
from stackr.build.dockerfile import parse
from stackr.build.outlook import (
    Base,
    Known,
    Outlook,
    Question,
    StepOutlook,
    outlook,
)
from stackr.build.stages import plan_of
from stackr.build.tree import File, Tree

TEXT = """
FROM base AS made
ARG V=1
RUN make $V
FROM base
COPY a /a
RUN --mount=target=/m,source=d ls /m
COPY --from=made /out /out
ENV x=y
WORKDIR /w
"""


class Memory:
    """Knows what it has been asked, as an engine after a build would."""

    def __init__(self) -> None:
        self.known: dict[str, Known] = {}

    def ask(self, files: dict[str, str], **options: Any) -> Outlook:
        arguments = options.pop("arguments", {})
        tree = Tree.of(
            {"d": File(stat.S_IFDIR | 0o755)}
            | {path: File(stat.S_IFREG | 0o644, content) for path, content in files.items()}
        )
        plan = plan_of(parse(options.pop("text", TEXT)), arguments=arguments)
        given = {"base_of": lambda _: Base(("sha256:base",), {}), **options}
        return outlook(Question(plan, tree, known=self.known, **given))

    def build(self, files: dict[str, str], **options: Any) -> None:
        """Know the first unknown step, until none is left."""
        while (step := self.ask(files, **options).first) is not None:
            assert step.key
            layers = self.layers_before(step, files, **options)
            self.known[step.key] = Known(
                f"sha256:{len(self.known)}",
                step.step.instruction.original,
                chain_id(layers),
                step.inputs,
            )

    def layers_before(
        self, wanted: StepOutlook, files: dict[str, str], **options: Any
    ) -> list[str]:
        layers = ["sha256:base"]
        for step in self.ask(files, **options).steps:
            if step.stage == wanted.stage and step.key in self.known:
                layers.append(self.known[step.key].layer)
        return layers


FILES = {"a": "1", "b": "1", "d/x": "1"}


def shown(found: Outlook) -> list[str]:
    return [f"{step.step.instruction.name} {step.is_known}" for step in found.steps]


def test_nothing_is_known_at_first() -> None:
    found = Memory().ask(FILES)
    assert {step.is_known for step in found.steps} == {False}
    assert found.layers is None
    assert list(found.steps[0].inputs.args) == ["V"]
    assert [bool(step.key) for step in found.steps] == [True, True, False, False, False]


def test_after_a_build_all_is_known() -> None:
    memory = Memory()
    memory.build(FILES)
    found = memory.ask(FILES)
    assert found.is_cached
    assert found.layers == ("sha256:base", "sha256:1", "sha256:2", "sha256:3", "sha256:4")
    assert found.config == {"Env": ["x=y"], "WorkingDir": "/w"}
    assert memory.ask({**FILES, "b": "2"}).is_cached  # nobody reads it


def test_a_change_is_known_by_its_step() -> None:
    memory = Memory()
    memory.build(FILES)
    assert shown(memory.ask({**FILES, "a": "2"})) == [
        *("RUN True", "COPY False", "RUN False", "COPY False", "WORKDIR False")
    ]
    assert shown(memory.ask({**FILES, "d/x": "2"})) == [
        *("RUN True", "COPY True", "RUN False", "COPY False", "WORKDIR False")
    ]
    assert shown(memory.ask(FILES, arguments={"V": "2"})) == [
        *("RUN False", "COPY True", "RUN True", "COPY False", "WORKDIR False")
    ]
    moved = memory.ask(FILES, base_of=lambda _: Base(("sha256:moved",), {}))
    assert not any(step.is_known for step in moved.steps)


def test_a_change_is_named() -> None:
    memory = Memory()
    memory.build(FILES)
    assert [step.changed for step in memory.ask({**FILES, "a": "2"}).steps][:2] == [(), ("a",)]
    first = memory.ask(FILES, arguments={"V": "2"}).first
    assert first is not None
    assert first.changed == ("ARG V",)
    assert "2" not in first.inputs.args.values()


def test_what_is_not_to_be_taken_from_the_cache() -> None:
    memory = Memory()
    memory.build(FILES)
    assert not any(step.is_known for step in memory.ask(FILES, no_cache=True).steps)
    assert shown(memory.ask(FILES, no_cache_filter=frozenset({"made"})))[:2] == [
        *("RUN False", "COPY True")
    ]


def test_an_image_that_is_missing_is_named() -> None:
    found = Memory().ask(FILES, base_of=lambda _: None)
    assert found.missing == ("base",)
    assert not found.is_cached


def test_named_contexts() -> None:
    memory = Memory()
    text = "FROM base\nCOPY --from=other /f /f\n"
    other = Tree.of({"f": File(stat.S_IFREG | 0o644, "1")})
    options = {"text": text, "trees": {"other": other}, "images": {"base": "real"}}
    memory.build(FILES, **options)
    assert memory.ask(FILES, **options).is_cached
    changed = Tree.of({"f": File(stat.S_IFREG | 0o644, "2")})
    assert memory.ask(FILES, **{**options, "trees": {"other": changed}}).first is not None


def test_limits_count_for_what_is_run_alone() -> None:
    memory = Memory()
    memory.build(FILES)
    found = memory.ask(FILES, host_config={"ShmSize": 1})
    assert shown(found)[:3] == ["RUN False", "COPY True", "RUN False"]
    step = found.steps[1]
    assert step.key == key_of(step.step, Ground(["sha256:base"]), step.reads)
