"""Reading a Dockerfile; BuildKit's own parser is the judge."""

from __future__ import annotations

import dockerfile as judge
import pytest

from stackr.build.dockerfile import parse
from stackr.build.errors import DockerfileError, UnsupportedInstruction

TEXTS = (
    "FROM busybox\nRUN echo a && \\\n  echo b\n",
    "# escape=`\nFROM a\nRUN dir `\n c:\\\nCOPY a b\n",
    '# comment\n\nfrom busybox as x\nrun ["echo", "a b"]\n',
    "FROM a\nENV a=1 b='2 3' c=\"x $a\"\nENV old style value\nLABEL x=y\n",
    "FROM a\nRUN <<EOF\necho $x\n# no comment\nEOF\nRUN true\n",
    'FROM a\nCOPY <<A <<-"B" /x/\none\nA\n\t\ttwo\n\tB\nWORKDIR /y\n',
    "FROM a\nONBUILD COPY --chown=1:2 . /x\nONBUILD ENV a=b\n",
    'FROM a\nHEALTHCHECK --interval=3s --retries=2 CMD ["x", "y"]\nHEALTHCHECK NONE\n',
    "FROM a\nRUN --mount=type=cache,target=/x --network=none make\n",
    'FROM a\nCOPY ["with space", "to"]\nADD --checksum=sha256:0 http://x/y /z\n',
    "FROM a\nRUN a \\\n# comment inside\n\n  b\nEXPOSE 80 443/tcp\nVOLUME /a /b\n",
    'FROM a\nSHELL ["/bin/bash", "-c"]\nCMD a b\nENTRYPOINT ["x"]\nUSER a:b\nSTOPSIGNAL 9\n',
    "\ufeffFROM a\r\nRUN b\r\nMAINTAINER me <x@y>\r\n",
    "FROM --platform=$BUILDPLATFORM a AS b\nARG x\nARG y=1 z='2'\n",
)


@pytest.mark.parametrize("text", TEXTS)
def test_it_reads_as_buildkit_does(text: str) -> None:
    wanted = judge.parse_string(text)
    found = parse(text.encode()).instructions
    assert [each.name for each in found] == [each.cmd.upper() for each in wanted]
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.flags == theirs.flags
        assert mine.line == theirs.start_line
        assert mine.end_line == theirs.end_line
        assert mine.is_json == theirs.json
        names = [(document.name, document.content) for document in theirs.heredocs]
        assert [(each.name, each.raw) for each in mine.heredocs] == names
        if mine.trigger is None:
            is_pairs = mine.name in ("ENV", "LABEL")
            args = [each for i, each in enumerate(mine.args) if not is_pairs or i % 3 < 2]
            assert tuple(args) == theirs.value
        else:
            assert mine.trigger.name == theirs.sub_cmd.upper()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the Dockerfile (Dockerfile) cannot be empty"),
        (b" \n\n", "the Dockerfile (Dockerfile) cannot be empty"),
        (b"# only this\n", "file with no instructions"),
        (b"FROM a\nRNU x\n", "on line 2: unknown instruction: RNU (did you mean RUN?)"),
        (b"FROM a\n\nCOPPY a b\n", "on line 3: unknown instruction: COPPY (did you mean COPY?)"),
        (b"FROM a\nRUN <<EOF\nx\n", "on line 2: unterminated heredoc"),
        (b"FROM a\nENV x\n", "on line 2: ENV must have two arguments"),
        (b"FROM a\nRUN x\xff\n", "on line 2: Dockerfile: is no UTF-8 text"),
        (b"FROM a\nRUN \0\n", "on line 2: Dockerfile: is no text"),
        (b"\x7fELF\0\0", "on line 1: Dockerfile: is no text"),
        (b"FROM a\nONBUILD ONBUILD RUN x\n", "Chaining ONBUILD"),
        (b"FROM a\nONBUILD FROM x\n", "FROM isn't allowed as an ONBUILD trigger"),
        (b"FROM a\nONBUILD RUNN x\n", "on line 2: unknown instruction: RUNN (did you mean RUN?)"),
        (b"# escape=x\nFROM a\n", "on line 1: invalid escape token"),
        (b"x" * (2 << 20), "is larger than 1 MiB"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: bytes, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "frontend",
    ["docker/dockerfile:1", "docker.io/docker/dockerfile:1.7-labs", "docker/dockerfile"],
)
def test_a_frontend_that_this_is(frontend: str) -> None:
    assert parse(f"# syntax={frontend}\nFROM a\n").instructions[0].name == "FROM"


def test_another_frontend_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedInstruction, match=r"syntax=example\.com/other:2"):
        parse("# syntax=example.com/other:2\nFROM a\n")


def test_directives_end_with_the_first_other_line() -> None:
    found = parse("# check=skip=all;error=true\n# text\n# escape=`\nFROM a\n")
    assert found.check == "skip=all;error=true"
    assert found.escape == "\\"
