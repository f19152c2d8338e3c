import pytest

from lightseg.errors import DataError
from lightseg.scaffold.listing import list_folder
from lightseg.scaffold.table_layout import find_table
from tests.data.fabricate import picture, save


def find(root, **answers):
    return find_table(list_folder(root), answers)


@pytest.fixture
def root(tmp_path):
    for index in range(12):
        save(tmp_path / "photos" / f"{index}.png", picture())
    return tmp_path


def write(root, name, header, row, separator=","):
    lines = [separator.join(map(str, row(index))) for index in range(12)]
    (root / name).write_text("\n".join([separator.join(header), *lines]))
    return str(root / name)


def test_find_table__common_names_need_no_option(root):
    table = write(root, "labels.csv", ["path", "label"], lambda i: [f"photos/{i}.png", "ab"[i % 2]])
    layout = find(root)
    assert (layout.options, layout.split_column) == ({"table": table}, "")


def test_find_table__columns_folder_and_delimiter(root):
    table = write(root, "x.csv", ["id", "what"], lambda i: [f"{i}.png", "ab"[i % 2]], ";")
    assert find(root).options == {
        "table": table,
        "root": str(root / "photos"),
        "path_column": "id",
        "label_column": "what",
        "delimiter": ";",
    }


@pytest.mark.parametrize(("name", "option"), [("split", {}), ("set", {"split_column": "set"})])
def test_find_table__splits(root, name, option):
    header = ["path", "label", name, "patient"]
    table = write(
        root, "x.tsv", header, lambda i: [f"photos/{i}.png", "ab"[i % 2], ["train", "val"][i > 8], i // 2], "\t"
    )
    layout = find(root)
    # groups may lie in two of the splits of a column
    assert (layout.options, layout.split_column) == ({"table": table, **option}, name)


def test_find_table__groups(root):
    table = write(root, "x.csv", ["path", "label", "patient"], lambda i: [f"photos/{i}.png", "ab"[i % 2], i // 2])
    assert find(root).options == {"table": table, "group_column": "patient"}


def test_find_table__asks_for_the_column_of_the_classes(root):
    write(root, "x.csv", ["path", "age", "species"], lambda i: [f"photos/{i}.png", i, "ab"[i % 2]])
    with pytest.raises(DataError, match=r"set data.label_column to one of path, age, species"):
        find(root)
    assert find(root, label_column="species").options["label_column"] == "species"


def test_find_table__asks_which_of_two(root):
    for name in ("a.csv", "b.csv"):
        write(root, name, ["path", "label"], lambda i: [f"photos/{i}.png", "ab"[i % 2]])
    with pytest.raises(DataError, match=r"a.csv and b.csv each list images and classes; name one: --data.table a.csv"):
        find(root)
    assert find(root, table="b.csv").options == {"table": str(root / "b.csv")}


def test_find_table__without_images(root):
    write(root, "x.csv", ["path", "label"], lambda i: [f"gone/{i}.png", "ab"[i % 2]])
    assert find(root) is None
    with pytest.raises(DataError, match=r"no column holds paths of images"):
        find(root, table="x.csv")
