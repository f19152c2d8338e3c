"""Annotation files of unknown origin."""

import pytest

from lightseg.data.annotations.documents import get, iterate_xml, parse_json, read_json, read_yaml
from lightseg.errors import DataError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "^x: is no JSON .*; export it again$"),
        ("[" * 100_000, "^x: has too many levels of lists; export it again$"),
        ("[NaN]", "^x: holds NaN, which is no number; export it again$"),
        ("[-Infinity]", "^x: holds -Infinity, which is no number"),
        (b"\xff{}", "^x: is no JSON"),
    ],
)
def test_parse_json__damaged(text, message):
    with pytest.raises(DataError, match=message):
        parse_json(text, "x")
    assert parse_json('{"a": [1]}', "x") == {"a": [1]}


def test_read_json__names_the_file(tmp_path):
    (tmp_path / "x.json").write_text("]")
    with pytest.raises(DataError, match=rf"^{tmp_path / 'x.json'}: is no JSON"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "is no YAML"), ("[" * 1500, "has too many levels; export it again$"), ("a: 2026-99-99", "is no YAML")],
)
def test_read_yaml__damaged(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(DataError, match=rf"x\.yaml: {message}"):
        read_yaml(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text("names: [a]")
    assert read_yaml(tmp_path / "x.yaml") == {"names": ["a"]}


def test_iterate_xml__elements_when_they_are_complete(tmp_path):
    (tmp_path / "x.xml").write_text("<a><b><c/></b><d/></a>")
    assert [(depth, element.tag) for depth, element in iterate_xml(tmp_path / "x.xml")] == [
        *((3, "c"), (2, "b"), (2, "d")),
        (1, "a"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a>", "is no XML"),
        ("<a>" * 17 + "</a>" * 17, "has more than 16 levels; export it again$"),
        ('<?xml version="1.0" encoding="nonsense"?><a/>', "is no XML"),
    ],
)
def test_iterate_xml__damaged(tmp_path, text, message):
    (tmp_path / "x.xml").write_text(text)
    with pytest.raises(DataError, match=rf"x\.xml: {message}"):
        list(iterate_xml(tmp_path / "x.xml"))


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "^place: has no key, and a str is expected; export it again$"),
        ([], "^place: has no key"),
        ({"key": 1}, "^place: its key is int, and a str is expected"),
    ],
)
def test_get__of_another_type(mapping, message):
    assert get({"key": "value"}, "key", str, "place") == "value"
    with pytest.raises(DataError, match=message):
        get(mapping, "key", str, "place")
