"""`--format`: Go's templates as Docker's commands take them, tables, JSON lines."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackr.cli.objects.go_values import go_value
from stackr.cli.objects.listing import go_json
from stackr.cli.views.formats import Format
from stackr.cli.views.template import Template
from stackr.errors import InvalidArgument

DATA: dict[str, Any] = {
    "Name": "web",
    "Count": 3,
    "Ports": ["a", "b"],
    "Label": {"x": "y"}.get,
    "Publishers": [{"URL": "h", "Port": 1}],
    "Empty": "",
}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("plain", "plain"),
        ("{{.Name}}", "web"),
        ("{{ .Name | upper }}", "WEB"),
        ('{{.Label "x"}}', "y"),
        ('{{.Label "none"}}', "<no value>"),
        ('{{printf "%-5s|%03d|%q" .Name .Count .Name}}', 'web  |003|"web"'),
        ('{{join .Ports ","}}', "a,b"),
        ("{{.Ports}}", "[a b]"),
        ("{{index .Ports 1}}{{len .Ports}}{{truncate .Name 2}}{{pad .Name 1 2}}|", "b2we web  |"),
        ("{{(index .Publishers 0).URL}}", "h"),
        ("{{json .Ports}}", '["a","b"]'),
        ("{{if eq .Count 3}}yes{{else}}no{{end}}", "yes"),
        ("{{if .Empty}}a{{else if .Name}}b{{else}}c{{end}}", "b"),
        ("{{with .Name}}<{{.}}>{{end}}{{with .Empty}}x{{end}}", "<web>"),
        ("{{range .Publishers}}{{.URL}}:{{.Port}};{{else}}none{{end}}", "h:1;"),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ("a {{- .Name -}} b", "awebb"),
        ("{{/* nothing */}}x", "x"),
        ("{{`raw`}}{{true}}{{1.5}}{{nil}}", "rawtrue1.5<no value>"),
        ('{{and .Name .Count}}{{or .Empty "z"}}{{not .Empty}}', "3ztrue"),
        ('{{split "a,b" ","}}{{title "one two_b-c"}}{{lower "X"}}', "[a b]One Two_b-Cx"),
        ('{{print 1 2 "a"}}', "1 2a"),
        ('{{println "a" 1}}', "a 1\n"),
    ],
)
def test_templates(text: str, want: str) -> None:
    assert Template.parse(text).render(DATA) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("{{$x := .Count}}{{$x}}", str(DATA["Count"])),
        ('{{$x := "a"}}{{if true}}{{$x := "b"}}{{$x}}{{end}}{{$x}}', "ba"),
        ('{{range $at, $each := (split "a,b" ",")}}{{$at}}{{$each}}{{end}}', "0a1b"),
        ('{{range $each := (split "a,b" ",")}}{{$each}}{{$.Name}} {{end}}', "aweb bweb "),
        ("{{with $x := .Name}}{{$x}}{{end}}", "web"),
    ],
)
def test_variables(text: str, want: str) -> None:
    assert Template.parse(text).render(DATA) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("{{.Binds}} {{.Labels}} {{.PidsLimit}}", "[] map[] <nil>"),
        ("{{len .Binds}}{{range .Binds}}x{{else}} none{{end}}", "0 none"),
        ('{{.Labels.a}} {{index .Labels "a"}}|{{if .PidsLimit}}x{{end}}', "<no value> |"),
        ("{{json .}}", '{"Binds":null,"Labels":null,"PidsLimit":null}'),
    ],
)
def test_what_is_null_is_of_its_fields_kind(text: str, want: str) -> None:
    value = go_value({"Binds": None, "Labels": None, "PidsLimit": None})
    assert Template.parse(text).render(value, {"json": go_json}) == want


def test_structs_and_maps_as_go_prints_them() -> None:
    answer = {"Id": "1", "Labels": {"a": "b"}, "State": {"Pid": 3, "Paused": False}}
    text = "{{.ID}} {{.Labels.none}} {{.State}} {{.Labels}}"
    assert Template.parse(text).render(go_value(answer)) == "1 <no value> {3 false} map[a:b]"
    with pytest.raises(InvalidArgument, match="can't evaluate field Nope"):
        Template.parse("{{.State.Nope}}").render(go_value(answer))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{.Nope}}", "can't evaluate field Nope: known are Count, Empty, Label"),
        ("{{.Name", "unclosed action"),
        ("{{if .Name}}x", "unclosed {{if}}"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{nope .Name}}", 'function "nope" not defined'),
        ("{{$x}}", 'undefined variable "\\$x"'),
        ("{{$x = 1}}", "assignment is not supported"),
        ("{{if true}}{{$x := 1}}{{end}}{{$x}}", 'undefined variable "\\$x"'),
        ('{{template "x"}}', '"template" is not supported'),
        ('{{define "x"}}', '"define" is not supported'),
        ("{{}}", "missing value for command"),
        ("{{(.Name}}", "unclosed left paren"),
        ("{{.Name)}}", 'unexpected "\\)"'),
        ("{{.Name #}}", 'unexpected "#"'),
        ("{{.Label}}", "error calling .Label"),
        ('{{printf "%999999999d" .Count}}', "width is too large"),
        ("{{pad .Name 999999999 1}}", "padding is too wide"),
        ("{{range .Name}}x{{end}}", "range can't iterate over web"),
        ('{{.Name "x"}}', "can't give argument"),
        ("{{if .Name}}" * 500, "too many blocks"),
        ("{{" + "(" * 500 + ".Name" + ")" * 500 + "}}", "too many parentheses"),
    ],
)
def test_templates_refuse(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=f"template parsing error: .*{message}"):
        Template.parse(text).render(DATA)


@given(st.text(alphabet='{}.|()$"`-/*\\ \tNameifendrangelsjsonpt%0123', max_size=80))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        assert isinstance(Template.parse(text).render(DATA), str)


ROWS = [{"Name": "web", "State": "running", "Label": {"a.my-label": "1"}.get}]
HEADINGS = {"Name": "NAME", "State": "STATE"}


@pytest.mark.parametrize(
    ("form", "want"),
    [
        ("table", ["NAME      STATE", "web       running"]),
        ("", ["NAME      STATE", "web       running"]),
        (r"table {{.State}}\t{{.Name}}", ["STATE     NAME", "running   web"]),
        (r'table {{upper .Name}}\t{{.Label "a.my-label"}}', ["NAME      my label", "WEB       1"]),
        ("json", ['{"Name":"web","State":"running"}']),
        (r"{{.Name}}\n{{.State}}", ["web\nrunning"]),
    ],
)
def test_formats(form: str, want: list[str]) -> None:
    parsed = Format.parse(form, columns=("Name", "State"))
    assert [line.rstrip() for line in parsed.lines(ROWS, HEADINGS)] == want
