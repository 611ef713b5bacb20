"""Dockerfile instructions of a commit, and the configuration and manifest of what it makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackr.errors import InvalidArgument, NotFound
from stackr.registry.digest import digest_of
from stackr.registry.manifest import parse_image_manifest
from stackr.runtime.engine.image.changes import apply_changes
from stackr.runtime.engine.image.commit import Commit, PackedLayer, image_config, manifest
from stackr.runtime.engine.image.configuration import parse_config
from stackr.runtime.engine.image.content import ContentStore

NS = 1_000_000_000
PORTS: dict[str, Any] = {"90/tcp": {}, "91/tcp": {}}
BASE: dict[str, Any] = {"Env": ["PATH=/bin", "A=z"], "Cmd": ["old"]}


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        (['CMD ["a", "b"]'], {"Cmd": ["a", "b"]}),
        (["cmd a b"], {"Cmd": ["/bin/sh", "-c", "a b"]}),
        (['ENTRYPOINT ["x"]'], {"Entrypoint": ["x"], "Cmd": None}),
        (['CMD ["c"]', "ENTRYPOINT x"], {"Entrypoint": ["/bin/sh", "-c", "x"], "Cmd": ["c"]}),
        (
            ["ENV A=1 B='$A' C=\"2 3\" D=$PATH:/x E=${Z:-no} F=${A:+set} G=a\\ b"],
            {"Env": ["PATH=/bin", "A=1", "B=$A", "C=2 3", "D=/bin:/x", "E=no", "F=set", "G=a b"]},
        ),
        (["ENV A hello world"], {"Env": ["PATH=/bin", "A=hello world"]}),
        (['LABEL a.b="c d" e=$A', "LABEL e=2"], {"Labels": {"a.b": "c d", "e": "2"}}),
        (["EXPOSE 80 53/udp 90-91"], {"ExposedPorts": {"80/tcp": {}, "53/udp": {}, **PORTS}}),
        (["VOLUME /a /b", 'VOLUME ["/c d"]'], {"Volumes": {"/a": {}, "/b": {}, "/c d": {}}}),
        (["WORKDIR /x", "WORKDIR y/../w"], {"WorkingDir": "/x/w"}),
        (["USER u:g"], {"User": "u:g"}),
        (["STOPSIGNAL SIGUSR1"], {"StopSignal": "SIGUSR1"}),
        (["ONBUILD RUN a", "ONBUILD ADD b c"], {"OnBuild": ["RUN a", "ADD b c"]}),
        (["HEALTHCHECK NONE"], {"Healthcheck": {"Test": ["NONE"]}}),
        (
            ["HEALTHCHECK --interval=1m30s --retries=3 CMD curl x"],
            {"Healthcheck": {"Interval": 90 * NS, "Retries": 3, "Test": ["CMD-SHELL", "curl x"]}},
        ),
        (['HEALTHCHECK CMD ["a"]'], {"Healthcheck": {"Test": ["CMD", "a"]}}),
    ],
)
def test_changes(changes: list[str], want: dict[str, Any]) -> None:
    assert apply_changes(BASE, changes) == {**BASE, **want}
    assert BASE == {"Env": ["PATH=/bin", "A=z"], "Cmd": ["old"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("RUN ls", "RUN is not a valid change command"),
        ("", " is not a valid change command"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV =x", "can't find = in"),
        ("ENV A=1 B", "can't find = in"),
        ('ENV A="x', "looking for a quote"),
        ("EXPOSE web", "invalid containerPort: web"),
        ("EXPOSE 70000", "invalid containerPort: 70000"),
        ("EXPOSE 90-80", "invalid containerPort"),
        ("STOPSIGNAL nope", "Invalid signal: nope"),
        ("HEALTHCHECK --nope=1 CMD x", "unknown flag: nope"),
        ("HEALTHCHECK --interval=soon CMD x", "invalid duration"),
        ("HEALTHCHECK --retries=x CMD x", "not a number"),
        ("HEALTHCHECK CMD", "CMD with a command, or NONE, is expected"),
        ("ONBUILD FROM x", "FROM isn't allowed"),
    ],
)
def test_changes_refuse(change: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        apply_changes(BASE, [change])


@given(st.sampled_from(("CMD", "ENV", "LABEL", "EXPOSE", "HEALTHCHECK", "USER")), st.text())
def test_any_text_is_taken_or_refused(name: str, text: str) -> None:
    try:
        changed = apply_changes(BASE, [f"{name} {text}"])
    except InvalidArgument:
        return
    json.dumps(changed)


LAYER = f"sha256:{'1' * 64}"
OCI = {
    "architecture": "amd64",
    "os": "linux",
    "variant": "",
    "rootfs": {"type": "layers", "diff_ids": [LAYER]},
    "history": [{"created_by": "base"}],
    "config": {"Cmd": ["old"]},
}


def _commit(**changes: Any) -> Commit:
    settings: dict[str, Any] = {
        "base": "sha256:0",
        "upper": Path("/none"),
        "config": {"Cmd": ["new"]},
        "created": "2026-01-02T03:04:05Z",
        **changes,
    }
    return Commit(**settings)


def test_the_configuration_is_the_bases_and_one_step_more() -> None:
    layer = PackedLayer(f"sha256:{'2' * 64}", f"sha256:{'3' * 64}")
    raw = image_config(OCI, _commit(author="me", message="why", command=("sh", "-c")), layer)
    config = parse_config(raw, name="committed")
    assert config["rootfs"]["diff_ids"] == [LAYER, layer.diff_id]
    assert config["config"] == {"Cmd": ["new"]}
    assert (config["architecture"], config["author"], config["comment"]) == ("amd64", "me", "why")
    assert config["history"] == [
        {"created_by": "base"},
        {
            "created": "2026-01-02T03:04:05Z",
            "created_by": "sh -c",
            "author": "me",
            "comment": "why",
        },
    ]


def test_a_commit_without_changes_has_no_layer() -> None:
    config = parse_config(image_config(OCI, _commit(), None), name="committed")
    assert config["rootfs"]["diff_ids"] == [LAYER]
    assert config["history"][-1]["empty_layer"] is True


def test_the_manifest_is_one_that_is_pulled(tmp_path: Path) -> None:
    content = ContentStore(tmp_path)
    content.open()
    blobs = []
    for data in (b"\x1f\x8bgzip", b"\x28\xb5\x2f\xfdzstd", b"tar"):
        blobs.append(digest_of(data))
        content.write(data, digest=blobs[-1])
    raw = manifest(b"{}", blobs, content)
    parsed = parse_image_manifest(json.loads(raw), name="committed")
    assert parsed.config.digest == digest_of(b"{}")
    kind = "application/vnd.oci.image.layer.v1.tar"
    assert [layer.media_type for layer in parsed.layers] == [f"{kind}+gzip", f"{kind}+zstd", kind]
    assert [layer.size_bytes for layer in parsed.layers] == [6, 8, 3]
    with pytest.raises(NotFound):
        manifest(b"{}", [LAYER], content)
