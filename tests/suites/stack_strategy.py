"""Stack files made up by hypothesis: what the schema allows, nearly, and what is near to it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from stackr.spec.schema.validate import schema

__all__ = ["Tree", "dotenv_texts", "projects", "services", "templates"]

Tree = dict[str, Any]

_DEFINITIONS = schema()["$defs"]
_WORDS = [
    *("a", "", "a b", "a=b", "a:b", "/x:/y:ro", "./x:/y:z", "~/x:/y", "8080:80", "3000-3002"),
    *("127.0.0.1:1:80/udp", "3000-3002:4000-4002", "10s", "1m30s", "2d", "-5s", "5", "512m"),
    *("1.5GiB", "0.5", "100", "-1", "true", "yes", "all", "host", "none", "service:a", "$$x"),
    *("container:x", "${A}", "${A:-x}", "${NO?why}", "echo 'a b' c; d", "2020-01-01", "1e3"),
    *("0777", "h=1.2.3.4", "h:::1", "h:[::1]", "/dev/a:/dev/b:r", "if_not_present", "always"),
    *("service_started", "service_healthy", "on-failure:3", "CMD", "NONE", "bind", "volume"),
    *("x-y", " a", "a ", "a\nb", "\u00e9", "=b", "A=${HOME}", "default", "default=./k", "::1"),
]
_STRINGS = st.sampled_from(_WORDS)
_INTEGERS = st.sampled_from([0, 1, -1, 2, 80, 65535, 70000, 420, 2**40, 2**63])
_NUMBERS = st.one_of(_INTEGERS, st.sampled_from([0.5, 1.0, 1.5, 1e10, 1e21, 0.1, 1234567.5]))
_NAMES = st.sampled_from(["a", "b", "FOO", "A.B", "nofile", "soft", "hard", "target", "x-n"])
_SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "string": _STRINGS,
    "integer": _INTEGERS,
    "number": _NUMBERS,
    "boolean": st.booleans(),
    "null": st.none(),
}


def _of(rule: Tree) -> st.SearchStrategy[Any]:
    """Values that a rule of the schema allows, nearly."""
    if "$ref" in rule:
        return st.deferred(lambda: _of(_DEFINITIONS[rule["$ref"].rsplit("/", 1)[1]]))
    if "oneOf" in rule:
        return st.one_of([_of(branch) for branch in rule["oneOf"]])
    if "enum" in rule:
        return st.sampled_from(rule["enum"])
    kinds = rule.get("type", "string")
    if isinstance(kinds, list):
        return st.one_of([_of({**rule, "type": kind}) for kind in kinds])
    if kinds == "array":
        return st.lists(_of(rule.get("items", {})), max_size=3)
    if kinds == "object":
        return _mapping(rule)
    return _SIMPLE[kinds]


def _mapping(rule: Tree) -> st.SearchStrategy[Any]:
    required = rule.get("required", ())
    known = {name: _of(below) for name, below in rule.get("properties", {}).items()}
    fixed = st.fixed_dictionaries(
        {name: value for name, value in known.items() if name in required},
        optional={name: value for name, value in known.items() if name not in required},
    )
    free = [below for key, below in rule.get("patternProperties", {}).items() if key != "^x-"]
    if not free:
        return fixed
    named = st.dictionaries(_NAMES, _of(free[0]), max_size=2)
    return st.tuples(fixed, named).map(lambda parts: {**parts[0], **parts[1]})


_ODD = st.one_of(_STRINGS, _NUMBERS, st.booleans(), st.none(), st.just([]), st.just({"a": None}))
_FILES = st.sampled_from(["e", ["e", "f"], [{"path": "e"}], [{"path": "no", "required": False}]])
_ATTRIBUTES: dict[str, st.SearchStrategy[Any]] = {
    **{name: _of(rule) for name, rule in _DEFINITIONS["service"]["properties"].items()},
    "extends": st.sampled_from(
        [
            *("a", "b", "no", "base", {"service": "b"}),
            *({"service": name, "file": "base.yaml"} for name in ("base", "s", "a")),
        ]
    ),
    "env_file": st.one_of(_FILES, st.just([{"path": "e", "format": "raw"}])),
    "label_file": _FILES,
}


def services() -> st.SearchStrategy[Tree]:
    """A service of up to three attributes, now and then with a value of the wrong kind."""
    names = st.lists(st.sampled_from(sorted(_ATTRIBUTES)), max_size=3, unique=True)
    valid = names.flatmap(lambda found: st.fixed_dictionaries({n: _ATTRIBUTES[n] for n in found}))
    odd = st.dictionaries(st.sampled_from(sorted(_ATTRIBUTES)), _ODD, max_size=1)
    return st.one_of(valid, valid, valid, st.tuples(valid, odd).map(lambda each: each[0] | each[1]))


_SECTIONS = {
    "networks": st.just({"a": {}, "b": None}),
    "volumes": st.just({"a": {}, "b": {"driver": "local"}}),
    "secrets": st.just({"a": {"file": "./s"}, "b": {"environment": "HOME"}}),
    "configs": st.just({"a": {"content": "x"}, "b": {"environment": "HOME"}}),
    "models": st.just({"a": {"model": "m"}, "b": {"model": "n"}}),
}
_MADE_UP = {name: _of(schema()["properties"][name]) for name in _SECTIONS}


def _tree(image: bool) -> st.SearchStrategy[Tree]:
    start = {"image": "i"} if image else {}
    several = st.fixed_dictionaries(
        {"s": services().map(lambda each: start | each)},
        optional={"a": services().map(lambda each: {"image": "z"} | each), "b": services()},
    )
    sections = st.fixed_dictionaries(
        {name: st.one_of(given, given, given, _MADE_UP[name]) for name, given in _SECTIONS.items()}
    )
    return st.tuples(several, sections if image else st.just({})).map(
        lambda parts: {"services": {"a": {"image": "z"}} | parts[0], **parts[1]}
    )


def _bases() -> st.SearchStrategy[Tree]:
    """Services to be extended, some of the names that those have that extend them."""
    base = services().map(lambda each: {"image": "j"} | each)
    several = st.fixed_dictionaries({"base": base}, optional={"s": services(), "a": services()})
    return several.map(lambda found: {"services": found})


def projects() -> st.SearchStrategy[dict[str, Tree]]:
    """Trees by file name: compose.yaml, and perhaps override.yaml, base.yaml and inc/i.yaml."""
    main = st.tuples(_tree(True), st.sampled_from([None, None, ["inc/i.yaml"]])).map(
        lambda parts: parts[0] if parts[1] is None else {"include": parts[1], **parts[0]}
    )
    return st.fixed_dictionaries(
        {
            "compose.yaml": main,
            "base.yaml": _bases(),
            "inc/i.yaml": services().map(lambda each: {"services": {"i": {"image": "k"} | each}}),
        },
        optional={"override.yaml": services().map(lambda each: {"services": {"s": each}})},
    )


_PIECES = [
    *("$", "${", "}", "$$", "A", "B", "NO", ":-", "-", ":?", "?", ":+", "+", " ", "x", "\n", "$A"),
    *("${A}", "${NO}", "${NO:-", "${A:+", "{", "${NO-${A}}", "#", ":", "/", "\u017f"),
]


def templates() -> st.SearchStrategy[str]:
    """Strings with variables in them, most of them well formed."""
    return st.lists(st.sampled_from(_PIECES), max_size=7).map("".join)


_LINES = [
    *("A=1", "export B=2", "C='x y'", 'D="a\\tb $A"', "E=${A:-z}", "# comment", "", "F", "HOME"),
    *("G=a # c", "H=a#c", "I:  j", "J = k ", "K='it\\'s'", 'L="\\"q\\""', "M=$", "N=${", "O='"),
    *("P=\\n", 'Q="\\n\\x\\0101"', " R=1", "S.T-U=1", "V[0]=w", "W W=1", "=x", "X=$$A", "Y=\\$A"),
    *("Z='$A'", "AA=\u00e9", "BB=a\r", "\ufeffCC=1", "DD=\t", 'EE="multi', 'line"', "FF='a' b"),
]


def dotenv_texts() -> st.SearchStrategy[str]:
    """Texts of `.env` files, some of them wrong."""
    return st.lists(st.sampled_from(_LINES), max_size=6).map("\n".join)
