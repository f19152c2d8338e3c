import pytest

from lightseg.scaffold.class_names import find_class_names, parse_class_names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sky\n\n# all else\nroad\n", (["sky", "road"], [], [])),
        ("0 sky\n2 road", (["sky", "road"], [0, 2], [])),
        ("1: traffic light\n2: road", (["traffic light", "road"], [1, 2], [])),
        ("64 128 64\tAnimal\n192 0 128\tArchway\n", (["Animal", "Archway"], [], [(64, 128, 64), (192, 0, 128)])),
        ("name,r,g,b\nsky,1,2,3\nroad,4,5,6\n", (["sky", "road"], [], [(1, 2, 3), (4, 5, 6)])),
    ],
)
def test_parse_class_names(tmp_path, text, expected):
    (tmp_path / "x.txt").write_text(text)
    names = parse_class_names(tmp_path / "x.txt")
    assert (names.names, names.ids, names.colors) == expected


@pytest.mark.parametrize(
    "text", ["", "sky\n", "sky\nsky\n", "sky 1\nroad\n", "sky 1 2\nroad 3 4\n", "a 1 2 999\nb 1 2 3\n"]
)
def test_parse_class_names__no_common_form(tmp_path, text):
    (tmp_path / "x.txt").write_text(text)
    assert parse_class_names(tmp_path / "x.txt") is None


def test_find_class_names__the_file_is_known_by_its_name(tmp_path):
    for name in ("notes.txt", "label_colors.txt"):
        (tmp_path / name).write_text("a\nb\n")
    assert find_class_names(tmp_path, ["notes.txt"]) is None
    assert find_class_names(tmp_path, ["notes.txt", "label_colors.txt"]).file == tmp_path / "label_colors.txt"
