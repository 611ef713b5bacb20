"""Typical mistakes in a stack file: where they are said to be, and what is said to mend them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackr.errors import InvalidProject
from stackr.spec.load import LoadOptions, load
from stackr.spec.model.project import Project

Write = Callable[[dict[str, str]], Path]
WEB = "services:\n  web:\n    image: app\n"


def told(folder: Path, **options: tuple[str, ...]) -> list[tuple[str, str, str | None]]:
    """Place, message without its place, and way out of each problem."""
    with pytest.raises(InvalidProject) as caught:
        load(LoadOptions(**options), {}, folder)  # type: ignore[arg-type]
    found = []
    for problem in caught.value.problems:
        file, line, column, message = str(problem).split(":", 3)
        found.append((f"{file}:{line}:{column}", message.strip(), getattr(problem, "hint", None)))
    return found


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        (
            "services:\n  web:\n    image: app\n   ports: []\n",
            "4:4",
            "this line is indented by 3 spaces, keys around it by 4 or 2 or 0",
        ),
        (
            "services:\n  web:\n    image: app\n     ports: []\n",
            "4:6",
            "this line is indented by 5 spaces, the one before by 4: "
            "keys of one mapping stand below each other",
        ),
        (
            f"{WEB}    ports:\n     - 80:80\n  - 81:81\n",
            "6:3",
            "an item of a list stands among keys: indent it as its list",
        ),
        ("services:\n  web\n    image: app\n", "2:6", 'a colon is missing: write "web:"'),
        (f"{WEB}    depends_on: [db]\n", "4:18", 'add a service "db", or take it from depends_on'),
        (
            f"{WEB}    volumes: ['data/x:/d']\n",
            "4:15",
            'a path of the host begins with "./" or "/": write ./data/x',
        ),
        ("services\n  web:\n    image: app\n", "1:9", 'a colon is missing: write "services:"'),
        (
            "services:\n  web:\n    image app\n    ports: []\n",
            "3:10",
            'a colon is missing: write "image: app"',
        ),
        (
            "services:\n  web:\n    image:app\n    ports: []\n",
            "3:5",
            'a space is missing behind the colon: write "image: app"',
        ),
        (f"{WEB}    environment:\n      A=b\n      C: d\n", "5:7", 'write "A: b"'),
        ('services:\n  web:\n    image: "app\n', "3:12", 'the " that begins here is not closed'),
        (f"{WEB}    user: @me\n", "4:11", "put the value in quotes: '@me'"),
        ("services:\n\tweb:\n", "2:1", "replace the tab by spaces"),
        (
            "services:\n  web:\n    <<: *base\n",
            "3:9",
            'write "&base" at the value that it stands for, above this line',
        ),
        ("services:\nweb:\n  image: a\n", "1:10", 'indent the names of the services below "servic'),
        ("services:\n  - web: {}\n", "2:3", 'indent the names of the services below "services:"'),
        ("services:\n  web:\n  image: a\n", "3:10", "what stands here belongs to a service: ind"),
        ("web:\n  image: a\n", "1:1", "a service, and what belongs to it, stands indented below"),
        ("- services\n", "1:1", 'begin with "services:"'),
        (f"{WEB}    environment:\n      - A: b\n", "5:9", "write NAME=value behind each dash, or"),
        (
            f"{WEB}    ports:\n      -80:80\n",
            "5:7",
            'a space is missing behind the dash: write "- ',
        ),
        (f"{WEB}    cap_add: A\n", "4:14", 'write each item on a line of its own behind "- ", or'),
        ("services:\n  web:\n    image: a:${TAG\n", "3:12", 'a "}" is missing behind "${TAG"'),
        ("services:\n  web:\n    image: a:${TAG:-b\n", "3:12", 'a "}" is missing behind "${TAG"'),
        (f"{WEB}    command: echo ${{5}}\n", "4:14", "you may need to escape any $ with another $"),
        (f"{WEB}    ports: ['80:http']\n", "4:13", 'write HOST:CONTAINER, such as "8080:80"'),
        (f"{WEB}    mem_limit: 64 megs\n", "4:16", "write a size such as 512m or 2gb"),
        (f"{WEB}    stop_grace_period: soon\n", "4:24", "write a duration such as 30s, 5m or 1h3"),
        (f"{WEB}    cpus: two\n", "4:11", "write a number"),
        (f"{WEB}    restart: allways\n", "4:14", 'did you mean "always"?'),
        (f"{WEB}    environment: A=b\n", "4:18", "write NAME: value below it"),
        (f"{WEB}    healthcheck: {{interval: 5}}\n", "4:29", "write it with its unit: 5s"),
        (f"{WEB}    healthcheck: {{test: [curl]}}\n", "4:25", 'put "CMD" before the program'),
        (f"{WEB}    env_file: .evn\n", "4:15", "make the file; {path: ..., required: false}"),
        (f"{WEB}    depends_on: [web]\n", "4:17", "one of them has to start first"),
        (f"{WEB}  web: {{image: b}}\n", "4:3", "put both into one, or give one of them"),
        (
            "services:\n  my web:\n    image: a\n",
            "2:3",
            'letters, digits, ".", "_" and "-" make a ',
        ),
        (f"{WEB}    volumes: ['./data:/x:rw,foo']\n", "4:15", "write SOURCE:TARGET, or SOURCE:"),
        (f"{WEB}    command: {{run: x}}\n", "4:14", "write one text, or a list: ["),
        (f"{WEB}    healthcheck: curl -f x\n", "4:18", 'write "test: COMMAND" below it'),
        (f"{WEB}    environment: ['A = b']\n", "4:18", "write NAME=value, without a blank befo"),
        (
            'services:\n  web:\n    image: "app\n    ports: ["80:80"]\n',
            "3:12",
            'the " that begins here is not closed',
        ),
        (f'{WEB}    volumes: ["C:\\data:/x"]\n', "4:18", 'in " a \\ begins a sign such as'),
        (
            "services:\n  web:\n    image: a\n\u00a0   ports: []\n",
            "4:1",
            "a blank in it is no plai",
        ),
        (
            "<<<<<<< HEAD\nservices:\n=======\nservices:\n>>>>>>> main\n  web: {image: a}\n",
            "1:1",
            "git could not merge here: keep one side",
        ),
        ("\x7fELF\0\0", "1:1", "it is not a text file: correct the path"),
    ],
)
def test_what_to_write_instead(write: Write, text: str, place: str, hint: str) -> None:
    found, _, way_out = told(write({"compose.yaml": text}))[0]
    assert found == f"compose.yaml:{place}"
    assert way_out is not None
    assert way_out.startswith(hint)


def test_mistakes_of_every_kind_are_told_in_the_same_pass(write: Write) -> None:
    text = (
        "services:\n  web:\n    image: 5\n    ports: ['8443...']\n    restart: allways\n"
        "    mem_limit: 64 megs\n    healthcheck: {test: x, interval: 5 minutes}\n    imgae: b\n"
    )
    lines = sorted(int(place.split(":")[1]) for place, _, _ in told(write({"compose.yaml": text})))
    assert lines == [3, 4, 5, 6, 7, 8]


def test_a_bad_variable_hides_no_other_mistake(write: Write) -> None:
    text = f"{WEB}    user: '${{'\n    cpus: two\n    ports: [x]\n    privileged: [1]\n"
    found = [message.split(":")[0] for _, message, _ in told(write({"compose.yaml": text}))]
    assert sorted(found) == [
        *("services.web.cpus", "services.web.ports[0]", "services.web.privileged"),
        "services.web.user",
    ]


def test_what_is_wrong_only_because_of_another_mistake_is_left_out(write: Write) -> None:
    text = f"{WEB}    configs: [c]\nconfigs:\n  c: {{file: [1]}}\n"
    assert [message for _, message, _ in told(write({"compose.yaml": text}))] == [
        "configs.c.file: must be a string, not a list"
    ]


def test_a_variable_that_is_not_set_has_its_place(project: Callable[..., Project]) -> None:
    text = "# $TAG\nservices:\n  web:\n    image: app:${TAG}\n    command: echo $$TAG $OTHER\n"
    assert list(project(text).warnings) == [
        'compose.yaml:4:16: The "TAG" variable is not set. Defaulting to a blank string. '
        "${TAG:-WORD} gives it a default",
        'compose.yaml:5:25: The "OTHER" variable is not set. Defaulting to a blank string. '
        "${OTHER:-WORD} gives it a default",
    ]


def test_a_file_that_is_missing_has_a_near_name(write: Write) -> None:
    folder = write({"compose.yaml": WEB, "prod.env": "A=b\n", "bad.env": "A B=c\n"})

    def hint(**options: tuple[str, ...]) -> str | None:
        with pytest.raises(InvalidProject) as caught:
            load(LoadOptions(**options), {}, folder)  # type: ignore[arg-type]
        return caught.value.hint

    assert hint(files=("compos.yaml",)) == 'did you mean "compose.yaml"?'
    assert hint(files=("x.yml",)) == "compose.yaml looks like a stack file: use -f compose.yaml"
    assert hint(env_files=("prd.env",)) == 'did you mean "prod.env"?'
    assert hint(env_files=("x",)) == "make it, or correct --env-file"
    assert "one NAME=VALUE a line" in str(hint(env_files=("bad.env",)))


def test_a_projects_name_that_could_be_meant() -> None:
    with pytest.raises(InvalidProject) as caught:
        load(LoadOptions(project_name="My Shop"), {}, Path("/"))
    assert caught.value.hint == '"my-shop" can be one'
