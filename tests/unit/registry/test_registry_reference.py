"""Docker's reference grammar: what it accepts, what names mean, and the texts of its refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackr.errors import InvalidArgument
from stackr.registry.digest import short_id
from stackr.registry.reference import Reference, parse_reference

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("nginx", "docker.io/library/nginx", "nginx"),
        ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"),
        ("library/nginx", "docker.io/library/nginx", "nginx"),
        ("docker.io/nginx", "docker.io/library/nginx", "nginx"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx", "nginx"),
        ("user/app", "docker.io/user/app", "user/app"),
        ("library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/a/b@" + DIGEST, "localhost:5000/a/b@" + DIGEST, None),
        ("LOCAL/app:v1", "LOCAL/app:v1", "LOCAL/app:v1"),
        ("example.com/a__b/c-d.e:T_1.x-", "example.com/a__b/c-d.e:T_1.x-", None),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        ("127.0.0.1:5000/app:1@" + DIGEST, "127.0.0.1:5000/app:1@" + DIGEST, None),
        ("a---b", "docker.io/library/a---b", "a---b"),
    ],
)
def test_names_have_a_full_and_a_familiar_form(text: str, full: str, familiar: str | None) -> None:
    reference = parse_reference(text)
    assert str(reference) == full
    assert reference.familiar == (familiar or full)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "@", "nginx:", "nginx@", "-nginx", "nginx-", "a//b", "/a", "a/", "a..b", "a___b",
        "nginx: 1", " nginx", "nginx\n", "nginx:1.27\n", "nginx:" + "t" * 129, "nginx:.x",
        "nginx@sha256:abc", "http://example.com/a", "example.com:port/a", "ex ample.com/a",
        "-example.com/a", "a@b@" + DIGEST, "nginx:tag:tag", "\u0440nginx", "a/b\x00",
        "[::1/app", "nginx:t\u00e4g",
    ],
)  # fmt: skip
def test_malformed_names_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid reference format"):
        parse_reference(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Nginx", "must be lowercase"),
        ("example.com/App", "must be lowercase"),
        ("a" * 256, "must not be more than 255 characters"),
        ("0a" * 32, "cannot specify 64-byte hexadecimal strings"),
        ("nginx@md5:" + "0" * 32, "unsupported digest"),
        ("nginx@sha256:" + "0A" * 32, "unsupported digest"),
    ],
)
def test_refusals_say_why(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        parse_reference(text)


def test_a_name_alone_means_latest() -> None:
    assert parse_reference("nginx").with_default_tag().familiar == "nginx:latest"
    assert parse_reference("nginx:1").with_default_tag().tag == "1"
    assert parse_reference("nginx@" + DIGEST).with_default_tag().tag is None


def test_with_digest_drops_the_tag() -> None:
    assert parse_reference("nginx:1").with_digest(DIGEST).familiar == "nginx@" + DIGEST


def test_short_id_is_twelve_hex_digits() -> None:
    assert short_id(DIGEST) == "0a0a0a0a0a0a"
    assert short_id("0a" * 32) == "0a0a0a0a0a0a"


@given(st.text(max_size=80))
def test_any_text_gives_a_reference_or_an_explained_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidArgument as error:
        refusal = error.message
    else:
        refusal = ""
        assert parse_reference(str(reference)) == reference
    assert refusal.isprintable()


@given(
    st.from_regex(r"[a-z0-9]+(\.[a-z0-9]+)?(:[0-9]{1,5})?", fullmatch=True),
    st.from_regex(r"[a-z0-9]+(/[a-z0-9]+(-[a-z0-9]+)?){0,2}", fullmatch=True),
    st.one_of(st.none(), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)),
)
def test_the_familiar_form_means_the_same(domain: str, path: str, tag: str | None) -> None:
    text = f"{domain}.io/{path}" + (f":{tag}" if tag else "") if ":" not in domain else path
    reference: Reference = parse_reference(text)
    assert parse_reference(reference.familiar) == reference
