"""`config --lint`: what is allowed, and surely not meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackr.spec.lint import lint
from stackr.spec.load import LoadOptions, load_tree, resolve

Lint = Callable[..., list[str]]


def _missing(source: str) -> str | None:
    return "is not there" if source.endswith(".conf") else None


_FINE = "services: {a: {image: 'i:1'}}\n"


@pytest.fixture
def found(write: Callable[[dict[str, str]], Path]) -> Lint:
    def lint_text(text: str, **options: Any) -> list[str]:
        folder = write({"compose.yaml": text})
        loaded = load_tree(LoadOptions(all_resources=True, **options), {}, folder)
        return [str(warning) for warning in lint(loaded, resolve(loaded), _missing)]

    return lint_text


def test_a_good_file_has_no_findings(found: Lint) -> None:
    text = """\
services:
  a:
    image: registry:5000/i:1
    restart: no
    ports: ["22:22", "127.0.0.1:80:80", "127.0.0.2:80:81", "80:80/udp"]
    environment: {A: "yes", B: true}
    volumes: ["vol:/v"]
    secrets: [s]
    configs: [c]
    networks: [net, default]
    depends_on: [b]
  b: {image: "i@sha256:aa", build: .}
  c: {build: ., image: untagged}
networks: {net: {}}
volumes: {vol: {}}
secrets: {s: {file: x}}
configs: {c: {content: x}}
"""
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (
            "services:\n  a: {image: 'i:1', environment: {A: yes, B: No, C: on, D: OFF}}",
            [
                f'compose.yaml:2:{column}: warning: services.a.environment.{key}: "{word}" is a'
                " string here and a boolean in YAML 1.1: quote it, or use true or false"
                for column, key, word in (
                    (38, "A", "yes"),
                    (46, "B", "No"),
                    (53, "C", "on"),
                    (60, "D", "OFF"),
                )
            ],
        ),
        (
            "services:\n  a: {image: 'i:1', ports: [22:22, '80:80']}",
            [
                'compose.yaml:2:29: warning: services.a.ports[0]: quote it ("22:22"): YAML 1.1'
                " reads 22:22 as a number to the base 60"
            ],
        ),
        (
            "services:\n  a: {image: 'i:1', environment: {M: 0644}}",
            [
                "compose.yaml:2:38: warning: services.a.environment.M: 0644 is read as the octal"
                " number 420: quote it to keep its digits"
            ],
        ),
        (
            "services: {a: {image: 'i:1${NO}'}}",
            [
                'warning: compose.yaml:1:27: The "NO" variable is not set. Defaulting to a blank'
                " string. ${NO:-WORD} gives it a default"
            ],
        ),
        (
            f"version: '3'\n{_FINE}",
            [
                "warning: DIR/compose.yaml: the attribute `version` is obsolete, it will be"
                " ignored, please remove it to avoid potential confusion"
            ],
        ),
        (
            f"{_FINE}volumes: {{v: }}\nnetworks: {{n: }}\nsecrets: {{s: {{file: x}}}}\n"
            "configs: {c: {content: x}}",
            [
                f"compose.yaml:{line}:{column}: warning: {kind}s.{name}: {kind} is declared and"
                " never used"
                for line, column, kind, name in (
                    (2, 11, "volume", "v"),
                    (3, 12, "network", "n"),
                    (4, 11, "secret", "s"),
                    (5, 11, "config", "c"),
                )
            ],
        ),
        (
            "services:\n  a: {image: 'i:1', links: [b]}\n  b: {image: 'i:1'}",
            [
                "compose.yaml:2:21: warning: services.a.links: links are of old: services reach"
                " each other by their names on a network"
            ],
        ),
        (
            "services:\n  a: {image: 'i:1', depends_on: {b: {required: false, "
            "condition: service_started}}}\n"
            "  b: {image: 'i:1', profiles: [p]}",
            [
                "compose.yaml:2:34: warning: services.a.depends_on.b: b is not waited for: only"
                " the profile p enables it"
            ],
        ),
        (
            "services:\n  a: {image: 'i:1', ports: ['80:80', '80:81']}\n"
            "  b: {image: 'i:1', ports: ['127.0.0.1:80:80', '9:9/udp', '9:9']}",
            [
                "compose.yaml:2:38: warning: services.a.ports[1]: port 80/tcp of the host is"
                " published by services.a.ports[0] as well",
                "compose.yaml:3:29: warning: services.b.ports[0]: port 80/tcp of the host is"
                " published by services.a.ports[0] as well",
            ],
        ),
        (
            "services:\n  a: {image: i}\n  b: {image: 'h:5000/x/i:latest'}",
            [
                'compose.yaml:2:7: warning: services.a.image: "i" is whatever is newest: name a'
                " version or a digest",
                'compose.yaml:3:7: warning: services.b.image: "h:5000/x/i:latest" is whatever is'
                " newest: name a version or a digest",
            ],
        ),
        (
            "services:\n  a:\n    image: i:1\n    pre_start:\n      - command: x\n"
            "      - image: tool\n",
            [
                'compose.yaml:6:9: warning: services.a.pre_start[1].image: "tool" is whatever is'
                " newest: name a version or a digest",
            ],
        ),
    ],
)
def test_each_finding(found: Lint, tmp_path: Path, text: str, warnings: list[str]) -> None:
    shown = [each.replace(str(tmp_path / "proj"), "DIR") for each in found(text)]
    assert shown == warnings


def test_a_profile_that_no_service_has(found: Lint) -> None:
    text = "services: {a: {image: 'i:1', profiles: [debug]}, b: {image: 'i:1'}}"
    assert found(text, profiles=("debgu",)) == [
        'warning: no service has the profile "debgu": did you mean "debug"?'
    ]
    assert found(text, profiles=("*",)) == found(text, profiles=("debug",)) == []


def test_a_bind_source_that_is_not_there_has_its_place(found: Lint) -> None:
    text = """\
services:
  a:
    image: "i:1"
    volumes:
      - ./ngnix.conf:/etc/nginx/nginx.conf
      - {type: bind, source: ./b.conf, target: /b, bind: {create_host_path: false}}
      - ./folder:/f
"""
    assert found(text) == ["compose.yaml:5:9: warning: services.a.volumes[0]: is not there"]
