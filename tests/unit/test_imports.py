"""The layers import in one direction, back-ends do not know each other, and names say something."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import stackr

ROOT = Path(stackr.__file__).parent

# What each part may import of stackr, beside itself and the errors and text of all; the longest
# prefix counts.
_EVERYWHERE = (
    *("stackr.errors", "stackr.options", "stackr.text", "stackr.patterns"),
    "stackr.version",
)

ALLOWED: dict[str, tuple[str, ...]] = {
    "stackr.errors": (),
    "stackr.options": (),
    "stackr.text": (),
    "stackr.patterns": (),
    "stackr.version": (),
    "stackr.spec": (),
    "stackr.build": (),
    "stackr.runtime.types": ("stackr.runtime.limits",),
    "stackr.runtime.container": ("stackr.runtime.limits",),
    "stackr.runtime": (),
    "stackr.runtime.leases": ("stackr.runtime.protocol",),
    "stackr.runtime.engine_names": (),
    "stackr.runtime.folders": (),
    "stackr.runtime.architecture": (),
    "stackr.runtime.proc_targets": (),
    "stackr.runtime.socket_access": (),
    "stackr.runtime.tls_stream": (),
    "stackr.runtime.limits": (),
    "stackr.runtime.labels": (),
    "stackr.runtime.image_build": ("stackr.build",),
    "stackr.runtime.protocol": (
        "stackr.runtime.container",
        "stackr.runtime.image_build",
        "stackr.runtime.limits",
        "stackr.runtime.types",
    ),
    "stackr.runtime.workloads": ("stackr.runtime.protocol", "stackr.runtime.types"),
    "stackr.runtime.snapshot": (
        "stackr.runtime.labels",
        "stackr.runtime.protocol",
        "stackr.runtime.types",
    ),
    "stackr.registry": (),
    "stackr.runtime.docker": (
        "stackr.build",
        "stackr.registry",
        "stackr.runtime.container",
        "stackr.runtime.image_build",
        "stackr.runtime.limits",
        "stackr.runtime.types",
        "stackr.runtime.labels",
        "stackr.runtime.protocol",
        "stackr.runtime.snapshot",
        "stackr.runtime.socket_access",
        "stackr.runtime.tls_stream",
        "stackr.runtime.workloads",
    ),
    "stackr.runtime.swarm": (
        "stackr.runtime.docker",
        "stackr.runtime.labels",
        "stackr.runtime.types",
        "stackr.runtime.workloads",
    ),
    "stackr.runtime.connect": (
        "stackr.runtime.docker",
        "stackr.runtime.engine_names",
        "stackr.runtime.labels",
        "stackr.runtime.swarm",
        "stackr.runtime.workloads",
        "stackr.runtime.protocol",
        "stackr.runtime.types",
        "stackr.runtime.engine.at_rest",
        "stackr.runtime.engine.config",
        "stackr.runtime.engine.launch",
        "stackr.runtime.engine.version",
        "stackr.runtime.resting",
    ),
    "stackr.runtime.resting": (
        "stackr.registry",
        "stackr.runtime.engine.at_rest",
        "stackr.runtime.protocol",
        "stackr.runtime.snapshot",
        "stackr.runtime.types",
    ),
    "stackr.planner": (
        "stackr.build",
        "stackr.spec",
        "stackr.runtime.architecture",
        "stackr.runtime.container",
        "stackr.runtime.image_build",
        "stackr.runtime.limits",
        "stackr.runtime.proc_targets",
        "stackr.runtime.types",
        "stackr.runtime.labels",
        "stackr.runtime.protocol",
        "stackr.runtime.snapshot",
        "stackr.runtime.workloads",
    ),
    "stackr.executor": (
        "stackr.planner.plan.graph",
        "stackr.planner.plan.payloads",
        "stackr.planner.plan.model",
        "stackr.runtime.container",
        "stackr.runtime.image_build",
        "stackr.runtime.limits",
        "stackr.runtime.types",
        "stackr.runtime.labels",
        "stackr.runtime.protocol",
        "stackr.runtime.workloads",
    ),
    "stackr.runtime.engine": (
        "stackr.build",
        "stackr.registry",
        "stackr.runtime.architecture",
        "stackr.runtime.folders",
        "stackr.runtime.proc_targets",
        "stackr.runtime.socket_access",
        "stackr.runtime.tls_stream",
    ),
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
    "stackr.pytest_plugin": (),
    "stackr.stack": (
        "stackr.build",
        "stackr.spec",
        "stackr.planner",
        "stackr.executor",
        "stackr.runtime",
        "stackr.registry",
    ),
    "stackr.ui": (
        "stackr.cli.views",
        "stackr.planner.plan.model",
        "stackr.planner.plan.options",
        "stackr.runtime.labels",
        "stackr.runtime.types",
        "stackr.spec.files",
        "stackr.stack",
    ),
    "stackr.cli": (
        "stackr.build",
        "stackr.spec",
        "stackr.planner",
        "stackr.executor",
        "stackr.runtime",
        "stackr.registry",
        "stackr.stack",
        "stackr.ui",
        "stackr.warm",
    ),
    "stackr.cli.views": (
        "stackr.stack.failure",
        "stackr.stack.testenv.findings",
        "stackr.executor.events",
        "stackr.executor.profile",
        "stackr.planner.plan.graph",
        "stackr.planner.plan.payloads",
        "stackr.planner.plan.model",
        "stackr.planner.plan.outlook",
        "stackr.planner.review.portability",
        "stackr.runtime.labels",
        "stackr.runtime.image_build",
        "stackr.runtime.container",
        "stackr.runtime.limits",
        "stackr.runtime.types",
        "stackr.runtime.workloads",
    ),
}
# Within the planner, the engine, and its containers, in layers: each part may import those of the
# layers before its own, and none after; parts of one layer (in one string) do not meet.
LAYERS: dict[str, tuple[str, ...]] = {
    "stackr.planner": (
        "plan",
        "desired",
        "observe",
        "change",
        "workloads",
        "swarm",
        "dialects",
        "images",
        "steps",
        "commands",
        "review",
    ),
    "stackr.runtime.engine": (
        "dockerd_options hosts late_imports units version",
        "option_values",
        "options",
        "config disk events journal project_locks records reserve roots",
        "database identity lock",
        "at_rest launch log_format recovery starter",
        "reload",
        "state",
        "linux",
        "archive control",
        "host_checks installation",
        "snapshot volume_content volume_device",
        "image network volume",
        "container",
        "build",
        "lease",
        "api",
        "listening",
        "wiring",
        "daemon",
    ),
    "stackr.runtime.engine.container": (
        "capabilities needs",
        "settings",
        "host",
        "io",
        "records",
        "announce limits",
        "oci",
        "storage",
        "parts",
        "exec",
        "health",
        "life",
        "service",
        "wiring",
    ),
}
IMPORT_LATER = {
    "container.oci.cdi",  # YAML, for those who ask for such devices
    # the builder, and a client of registries: megabytes, for calls that many engines never get
    *("api.build", "api.build_request", "api.stackr_build"),
    *("build.entry", "build.remote", "build.stage", "image.distribution"),
    # pyroute2's parts by themselves, without all of it
    "linux.netlink",
}
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
                place = ROOT.parent / submodule.replace(".", "/")
                is_module = place.with_suffix(".py").exists() or place.is_dir()
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


@pytest.mark.parametrize("part", ["cli", "executor", "planner", "spec", "stack", "ui"])
def test_imports_are_at_the_top_or_say_why_not(part: str) -> None:
    silent = []
    for path in sorted((ROOT / part).rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number in sorted(set(inner_imports(path))):
            if not lines[number - 2].lstrip().startswith("#"):
                silent.append(f"{path.relative_to(ROOT)}:{number}")
    assert not silent, "\n".join(silent)


def part_of(module: str, package: str) -> str:
    """The part of a package that a module is, or is in; "" for what is not below it."""
    return module.removeprefix(f"{package}.").partition(".")[0] if module != package else ""


@pytest.mark.parametrize("package", LAYERS)
def test_parts_import_in_one_direction(package: str) -> None:
    layer_of = {part: n for n, layer in enumerate(LAYERS[package]) for part in layer.split()}
    below = {name: path for name, path in modules() if within(name, package) and name != package}
    parts = {part_of(name, package) for name in below}
    assert parts == layer_of.keys(), "each part has its layer, and each layer its parts"
    wrong = []
    for module, path in below.items():
        own = part_of(module, package)
        for name in imported(path):
            other = part_of(name, package) if within(name, package) else ""
            if other and other != own and layer_of[other] >= layer_of[own]:
                wrong.append(f"{module} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other() -> None:
    """Not in a circle, either, nor for their types alone, nor by way of `import stackr`."""
    found = dict(modules())
    graph = {name: found.keys() & set(imported(path)) - {name} for name, path in found.items()}
    sorter = graphlib.TopologicalSorter(graph)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_engine_imports_at_the_top() -> None:
    """But for what is large and seldom used; and the sidecars, which import next to nothing."""
    later = set()
    for module, path in modules():
        if not within(module, "stackr.runtime.engine"):
            continue
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and any(
                isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function)
            ):
                later.add(module.removeprefix("stackr.runtime.engine."))
    assert later <= IMPORT_LATER, sorted(later - IMPORT_LATER)


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
    assert importers == {
        "stackr.build.stages",
        "stackr.planner.plan.graph",
        "stackr.planner.plan.model",
    }


def test_no_module_is_named_after_nothing() -> None:
    assert not [name for name, _ in modules() if name.rpartition(".")[2] in REFUSED_NAMES]


@pytest.mark.parametrize(
    "module",
    [
        "stackr.planner.commands.reconcile",
        "stackr.planner.desired.project",
        "stackr.planner.commands.lifecycle",
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
        *("stackr", "stackr.warm", "stackr.warm.client"),
        *("stackr.warm.message", "stackr.warm.place", "stackr.warm.relay"),
    }
    assert not loaded & {"enum", "typing", "re", "json", "pathlib", "subprocess", "asyncio"}
    assert not loaded & {"contextlib", "signal", "struct", "resource", "zlib"}


def test_no_private_part_of_a_library_is_used() -> None:
    """What a library does not promise changes without a word.

    The one exception is the interpreter's own, in the warm client: see there.
    """
    promised = ("__future__.annotations", "_socket.", "_signal")
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


# Where the engine starts processes: commands and children of its own, the two servers beside the
# daemon, the daemon itself, and what has to do so in a process without asyncio.
_STARTERS = (
    *("linux.command", "linux.child", "linux.launcher", "linux.launcher_client"),
    *("linux.sidecar_client", "linux.nftables", "archive.decompress", "build.remote"),
    *("launch", "starter"),
)
_STARTS = {"create_subprocess_exec", "Popen", "posix_spawn", "fork", "check_output"}


def called(path: Path) -> set[str]:
    """The last names of all that a file calls."""
    return {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }


def test_few_modules_of_the_engine_start_processes() -> None:
    prefix = "stackr.runtime.engine."
    starters = {m for m, path in modules() if m.startswith(prefix) and called(path) & _STARTS}
    assert starters <= {prefix + each for each in _STARTERS}


def test_one_module_of_the_engine_calls_libc() -> None:
    importers = {
        module
        for module, path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if within(module, "stackr.runtime.engine") and "ctypes" in named(node)
    }
    linux = "stackr.runtime.engine.linux"
    assert importers == {f"{linux}.syscalls", f"{linux}.nftables"}, "nftables calls libnftables"
