"""Annotation files of unknown origin."""

import os

import pytest

from lightseg.data.annotations.documents import get, iterate_xml, parse_json, read_json, read_yaml
from lightseg.errors import DataError, UserError
from tests.helpers.sparse import write_sparse


def test_read_json__with_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + '{"é": [1, 2.5, null]}'.encode())
    assert read_json(path) == {"é": [1, 2.5, None]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[NaN]", "here: holds NaN, which is no number"),
        ("[-Infinity]", "here: holds -Infinity, which is no number"),
        ("[" * 10_000, "here: has too many levels"),
        ("{", "here: is no JSON"),
        ("[" + "9" * 5000 + "]", "here: is no JSON"),
        (b"[\xff]", "here: is no JSON"),
    ],
)
def test_parse_json__damaged(text, message):
    with pytest.raises(DataError, match=message):
        parse_json(text, "here")


def test_read__a_pipe_or_a_larger_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(UserError, match="a.json"):
        read_json(tmp_path / "a.json")
    write_sparse(tmp_path / "b.json", (1 << 31) + 1)
    with pytest.raises(UserError, match="it is longer than 2147483648 bytes"):
        read_json(tmp_path / "b.json")
    with pytest.raises(DataError, match="c.json: cannot be read"):
        read_json(tmp_path / "c.json")


def multiplied(first, level):
    """YAML of a few lines, each of which holds the one before several times."""
    lines = [f"a0: &a0 {first}", *(f"a{n}: &a{n} {level.format(f'a{n - 1}')}" for n in range(1, 15))]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is no YAML"),
        ("[" * 5000, "nested deeper than 50 levels, which no data set is"),
        ("a: !!python/none x", "is no YAML"),
        *((f"a: !!{tag} ''", "is no YAML") for tag in ("int", "float", "bool", "timestamp")),
        ("a: &a [*a]", "holds itself by the alias"),
        # by lists, and by keys that are merged
        (multiplied("[x, x, x, x]", "[*{0}, *{0}, *{0}, *{0}]"), "aliases make it larger than 100000 values"),
        (multiplied("{x: 1}", "{{<<: [*{0}, *{0}, *{0}, *{0}]}}"), "aliases make it larger than 100000 values"),
    ],
)
def test_read_yaml__damaged(tmp_path, text, message):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"a\.yaml: {message}"):
        read_yaml(tmp_path / "a.yaml")


def test_iterate_xml__yields_complete_elements_with_their_depth(tmp_path):
    (tmp_path / "a.xml").write_text("<a><b><c/></b><d>e</d></a>")
    elements = [(depth, element.tag, element.text) for depth, element in iterate_xml(tmp_path / "a.xml")]
    assert elements == [(3, "c", None), (2, "b", None), (2, "d", "e"), (1, "a", None)]
    with pytest.raises(DataError, match="b.xml: cannot be read"):
        list(iterate_xml(tmp_path / "b.xml"))


def test_get__names_what_is_missing_or_wrong():
    assert get({"a": 3}, "a", int, "here") == 3
    with pytest.raises(DataError, match="here: has no b, and a text is expected"):
        get({"a": 3}, "b", str, "here")
    with pytest.raises(DataError, match="here: its a is int, and a text is expected"):
        get({"a": 3}, "a", str, "here")
    with pytest.raises(DataError, match="here: its a is str, and a whole number is expected"):
        get({"a": "3"}, "a", int, "here")
    with pytest.raises(DataError, match="here: has no a"):
        get([], "a", str, "here")
