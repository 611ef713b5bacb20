"""Docker's build checks: each rule finds what it is for, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from stackr.build.errors import DockerfileError
from stackr.build.ignore import Ignore
from stackr.build.lint import Surroundings, check, violations


def found(text: str, around: Surroundings | None = None, **arguments: str) -> list[str]:
    return [f"{each.line} {each.rule}: {each.text}" for each in check(text, arguments, around)]


def test_lint_has_dockers_names_for_what_is_amiss() -> None:
    text = """\
ARG TAG
FROM base:$TAG as Build
MAINTAINER me
ENV A b
ENV API_TOKEN=1
WORKDIR app
expose 80/TCP
CMD echo hello
CMD ["x"]
FROM base:$NONE
"""
    assert [(each.rule, each.line) for each in check(text)] == [
        ("FromAsCasing", 2),
        ("InvalidDefaultArgInFrom", 2),
        ("StageNameCasing", 2),
        ("MaintainerDeprecated", 3),
        ("LegacyKeyValueFormat", 4),
        ("SecretsUsedInArgOrEnv", 5),
        ("WorkdirRelativePath", 6),
        ("ConsistentInstructionCasing", 7),
        ("ExposeProtoCasing", 7),
        ("JSONArgsRecommended", 8),
        ("MultipleInstructionsDisallowed", 8),
        ("UndefinedArgInFrom", 10),
    ]
    assert check(f"# check=skip=all\n{text}") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FROM --platform=$TARGETPLATFORM x", ["1 RedundantTargetPlatform"]),
        ("FROM --platform=linux/amd64 x", ["1 FromPlatformFlagConstDisallowed"]),
        ("FROM --platform=linux/amd64 x AS build_amd64", []),
        ("FROM --platform=$BUILDPLATFORM x", []),
        ("FROM --platform=$PLATFROM x", ["1 UndefinedArgInFrom"]),
        ("FROM x AS context", ["1 ReservedStageName"]),
        ("FROM x AS a\nFROM x AS a", ["2 DuplicateStageName"]),
        ("FROM x\nRUN a \\\n\n b", ["4 NoEmptyContinuation"]),
        ("FROM x\nEXPOSE 127.0.0.1:80:80", ["2 ExposeInvalidFormat"]),
        ("FROM x\nEXPOSE 80/tcp 81-83 ${P:-80}", []),
        ('FROM x\nSHELL ["/bin/bash", "-c"]\nCMD echo', []),
        ("FROM x\nCMD echo", ["2 JSONArgsRecommended"]),
        ("FROM x\nHEALTHCHECK CMD a\nHEALTHCHECK NONE", ["2 MultipleInstructionsDisallowed"]),
        ("FROM x\nWORKDIR /a\nWORKDIR b", []),
        ("FROM x\nENV PUBLIC_KEY=1", []),
        ("# words\nARG V=1\nFROM x", []),
    ],
)
def test_each_rule(text: str, wanted: list[str]) -> None:
    assert [each.partition(":")[0] for each in found(text)] == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "# words\nARG V=1\nFROM x",
            "Comment for ARG should follow the format: `# V <description>`",
        ),
        ("# words\nFROM x AS a", "Comment for FROM should follow the format: `# a <description>`"),
        ("# V is one\nARG V=1\nFROM x", ""),
        ("# words\n\nFROM x AS a", ""),
        ("FROM x AS a", ""),
    ],
)
def test_descriptions_are_looked_at_where_that_is_asked_for(text: str, wanted: str) -> None:
    got = found(f"# check=experimental=all\n{text}")
    assert [each.partition(": ")[2] for each in got] == ([wanted] if wanted else [])


def environment(name: str) -> Mapping[str, str] | None:
    return {"python": {"PYTHON_VERSION": "3"}, "plain": {}}.get(name)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FROM scratch\nCOPY $foo .", "$foo"),
        ("FROM scratch\nARG foo\nCOPY a$foo .", ""),
        ("FROM plain\nENV PATH=$PAHT:/app", "$PAHT (did you mean $PATH?)"),
        ("FROM plain\nARG VERSION=$foo", "$foo"),
        ("FROM python\nARG VERSION=$PYTHON_VERSION", ""),
        ("FROM plain\nRUN echo $HOME\nCMD echo $X", ""),
        ("FROM plain\nLABEL v=${V:-1} w='$W' x=\\$X", ""),
        ("FROM plain AS a\nARG V\nENV E=1\nFROM a\nLABEL v=$V e=$E", ""),
        ("FROM plain\nCOPY <<A /a\n$V\nA\n", "$V"),
        ("FROM other\nUSER $U", "$U (other is not here: it may define it)"),
        ("FROM plain AS unused\nUSER $U\nFROM plain\nUSER 0", ""),
    ],
)
def test_variables_that_nothing_defines(text: str, wanted: str) -> None:
    got = found(text, Surroundings(environment=environment))
    texts = [each.partition(": ")[2] for each in got if "UndefinedVar" in each]
    assert texts == ([f"Usage of undefined variable {wanted}"] if wanted else [])


def test_variables_are_not_judged_where_nothing_is_known_of_the_base() -> None:
    assert found("FROM other\nUSER $U") == []
    assert found("FROM scratch\nUSER $U") == ["2 UndefinedVar: Usage of undefined variable $U"]


@pytest.mark.parametrize(
    ("patterns", "text", "wanted"),
    [
        (["a"], "COPY a .", 'Attempting to Copy file "a" that is excluded by .dockerignore'),
        (["a"], "ADD ./a/b .", 'Attempting to Add file "a/b" that is excluded by .dockerignore'),
        (["a"], "COPY b .", ""),
        (["*", "!a"], "COPY a .", ""),
        (["a"], "COPY --from=other a .", ""),
        (["*"], "ADD https://a/b .", ""),
    ],
)
def test_files_that_are_left_out(patterns: list[str], text: str, wanted: str) -> None:
    got = found(f"FROM scratch\n{text}", Surroundings(Ignore(patterns)))
    assert got == ([f"2 CopyIgnoredFile: {wanted}"] if wanted else [])


def test_the_directive() -> None:
    text = "FROM x\nMAINTAINER me\nENV a b\n"
    assert [each.rule for each in check(f"# check=skip=LegacyKeyValueFormat\n{text}")] == [
        "MaintainerDeprecated"
    ]
    violations(text)
    violations(f"# check=skip=all;error=true\n{text}")
    with pytest.raises(DockerfileError, match=r"rules: LegacyKeyValueFormat, MaintainerDeprecated"):
        violations(f"# check=error=true\n{text}")
