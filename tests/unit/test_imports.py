"""The layers import in one direction, back-ends do not know each other, and names say something."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import stackr

ROOT = Path(stackr.__file__).parent

# What each part may import of stackr, beside itself and the errors and text of all; the longest
# prefix counts.
_EVERYWHERE = ("stackr.errors", "stackr.text", "stackr.patterns")

ALLOWED: dict[str, tuple[str, ...]] = {
    "stackr.errors": (),
    "stackr.text": (),
    "stackr.patterns": (),
    "stackr.spec": (),
    "stackr.build": (),
    "stackr.runtime.types": ("stackr.runtime.limits",),
    "stackr.runtime.container": ("stackr.runtime.limits",),
    "stackr.runtime": (),
    "stackr.runtime.leases": ("stackr.runtime.protocol",),
    "stackr.runtime.proc_targets": (),
    "stackr.runtime.limits": (),
    "stackr.runtime.labels": (),
    "stackr.runtime.protocol": (
        "stackr.runtime.container",
        "stackr.runtime.limits",
        "stackr.runtime.types",
    ),
    "stackr.runtime.snapshot": (
        "stackr.runtime.labels",
        "stackr.runtime.protocol",
        "stackr.runtime.types",
    ),
    "stackr.runtime.fake": (
        "stackr.runtime.container",
        "stackr.runtime.limits",
        "stackr.runtime.types",
        "stackr.runtime.labels",
    ),
    "stackr.registry": (),
    "stackr.runtime.docker": (
        "stackr.registry",
        "stackr.runtime.container",
        "stackr.runtime.limits",
        "stackr.runtime.types",
        "stackr.runtime.labels",
        "stackr.runtime.protocol",
        "stackr.runtime.snapshot",
    ),
    "stackr.runtime.connect": (
        "stackr.runtime.docker",
        "stackr.runtime.protocol",
        "stackr.runtime.types",
        "stackr.runtime.engine.config",
        "stackr.runtime.engine.launch",
    ),
    "stackr.planner": (
        "stackr.spec",
        "stackr.runtime.container",
        "stackr.runtime.limits",
        "stackr.runtime.proc_targets",
        "stackr.runtime.types",
        "stackr.runtime.labels",
        "stackr.runtime.protocol",
        "stackr.runtime.snapshot",
    ),
    "stackr.executor": (
        "stackr.planner.graph",
        "stackr.planner.payloads",
        "stackr.planner.plan",
        "stackr.runtime.container",
        "stackr.runtime.limits",
        "stackr.runtime.types",
        "stackr.runtime.labels",
        "stackr.runtime.protocol",
    ),
    "stackr.runtime.engine": ("stackr.build", "stackr.registry", "stackr.runtime.proc_targets"),
    "stackr.warm": (),
    "stackr.warm.client": ("stackr.warm", "stackr.cli.main"),
    "stackr.warm.rehearsal": (
        "stackr.warm",
        "stackr.cli.group",
        "stackr.cli.main",
        "stackr.cli.registry",
    ),
    "stackr.warm.worker": ("stackr.warm", "stackr.cli.main"),
    "stackr": ("stackr.public",),
    "stackr.public": (
        "stackr.spec",
        "stackr.planner",
        "stackr.executor",
        "stackr.runtime",
        "stackr.stack",
    ),
    "stackr.__main__": ("stackr.warm.client",),
    "stackr.stack": (
        "stackr.spec",
        "stackr.planner",
        "stackr.executor",
        "stackr.runtime",
        "stackr.registry",
    ),
    "stackr.cli": (
        "stackr.spec",
        "stackr.planner",
        "stackr.executor",
        "stackr.runtime",
        "stackr.registry",
        "stackr.stack",
        "stackr.warm",
    ),
    "stackr.cli.views": (
        "stackr.stack.failure",
        "stackr.stack.testenv.findings",
        "stackr.executor.events",
        "stackr.executor.profile",
        "stackr.planner.payloads",
        "stackr.planner.plan",
        "stackr.runtime.labels",
        "stackr.runtime.container",
        "stackr.runtime.limits",
        "stackr.runtime.types",
    ),
}
# Within the engine, in layers: each may import those before it, and none after; parts of one
# layer (in one string) do not meet, except that images become snapshots.
ENGINE_LAYERS = (
    "reserve",
    "config events project_locks state version",
    "linux",
    "archive",
    "snapshot volume_content",
    "image network volume",
    "container",
    "build",
    "lease",
    "api",
    "daemon",
)
_TOPS = ("stackr", "stackr.runtime")
"""Packages whose parts are listed one by one; their own rule is for them alone."""
REFUSED_NAMES = {"utils", "common", "helpers", "misc", "util", "helper"}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = ["stackr", *path.relative_to(ROOT).with_suffix("").parts]
        yield ".".join(part for part in parts if part != "__init__"), path


def imported(path: Path) -> Iterator[str]:
    """The modules of stackr that a file imports, within functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("stackr"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stackr"):
            base = node.module or ""
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                is_module = (ROOT.parent / submodule.replace(".", "/")).with_suffix(".py").exists()
                yield submodule if is_module else base


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def rule_of(module: str) -> str | None:
    """The longest listed prefix of a module; None for a part that nobody has listed."""
    matching = [prefix for prefix in ALLOWED if within(module, prefix) and prefix not in _TOPS]
    if module in _TOPS:
        return module
    return max(matching, key=len, default=None)


def test_layers_import_in_one_direction() -> None:
    wrong = []
    for module, path in modules():
        rule = rule_of(module)
        if rule is None:
            wrong.append(f"{module} is not listed")
            continue
        own = () if rule in _TOPS else (rule,)
        allowed = (*ALLOWED[rule], *_EVERYWHERE, *own)
        wrong += [
            f"{module} imports {name}"
            for name in imported(path)
            if name != "stackr" and not any(within(name, prefix) for prefix in allowed)
        ]
    assert not wrong, "\n".join(wrong)


def inner_imports(path: Path) -> Iterator[int]:
    """The lines of imports within functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield node.lineno


@pytest.mark.parametrize("part", ["cli", "executor", "planner", "spec", "stack"])
def test_imports_are_at_the_top_or_say_why_not(part: str) -> None:
    silent = []
    for path in sorted((ROOT / part).rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number in sorted(set(inner_imports(path))):
            if not lines[number - 2].lstrip().startswith("#"):
                silent.append(f"{path.relative_to(ROOT)}:{number}")
    assert not silent, "\n".join(silent)


def engine_layer(module: str) -> tuple[int, str] | None:
    """The layer of an engine's module, and its part."""
    prefix = "stackr.runtime.engine."
    if not module.startswith(prefix):
        return None
    part = module.removeprefix(prefix).partition(".")[0]
    for layer, parts in enumerate(ENGINE_LAYERS):
        if part in parts.split():
            return layer, part
    return None


def test_the_engines_parts_import_in_one_direction() -> None:
    wrong = []
    for module, path in modules():
        place = engine_layer(module)
        for name in imported(path) if place else ():
            other = engine_layer(name)
            if place and other and other[1] != place[1] and other[0] >= place[0]:
                wrong.append(f"{module} imports {name}")
    assert not wrong, "\n".join(wrong)


def named(node: ast.AST) -> list[str]:
    """The modules that an import statement names; none for anything else."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_only_the_graph_knows_networkx() -> None:
    importers = {
        module
        for module, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if any(within(name, "networkx") for name in named(node))
    }
    assert importers == {"stackr.build.stages", "stackr.planner.graph", "stackr.planner.plan"}


def test_no_module_is_named_after_nothing() -> None:
    assert not [name for name, _ in modules() if name.rpartition(".")[2] in REFUSED_NAMES]


@pytest.mark.parametrize(
    "module",
    [
        "stackr.planner.reconcile",
        "stackr.planner.desired",
        "stackr.planner.lifecycle",
        "stackr.executor.apply",
        "stackr.runtime.connect",
        "stackr.runtime.docker.runtime",
    ],
)
def test_light_imports(module: str) -> None:
    """What a command that has nothing to do must not pay for where no warm process runs.

    networkx is not among it: it is what plans are made with.
    """
    heavy = ("aiohttp", "pyroute2", "rich", "tarfile")
    program = f"import sys, {module}; print(*(n for n in {heavy!r} if n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == []


def test_config_makes_no_plan_and_pays_for_none() -> None:
    """A stack file is read without networkx, which takes as long as the rest of the command."""
    program = "import sys, stackr.cli.commands.config, stackr.spec.load as _; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert "networkx" not in done.stdout.split()


def test_the_warm_client_imports_next_to_nothing() -> None:
    """Its start is what a quick command costs."""
    program = "import sys, stackr.warm.client; print(*(n for n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.split(".")[0] == "stackr"} == {
        *("stackr", "stackr.warm", "stackr.warm.client", "stackr.warm.message", "stackr.warm.place")
    }
    assert not loaded & {"enum", "typing", "re", "json", "pathlib", "subprocess", "asyncio"}


def test_no_private_part_of_a_library_is_used() -> None:
    """What a library does not promise changes without a word.

    The one exception is the interpreter's own, in the warm client: see there.
    """
    promised = ("__future__.annotations", "_socket.")
    wrong = []
    for module, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("stackr"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            wrong += [
                f"{module} imports {name}"
                for name in names
                if not name.startswith(promised) and any(p[:1] == "_" for p in name.split("."))
            ]
    assert not wrong, "\n".join(wrong)
