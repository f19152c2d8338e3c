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


def test_find_table__a_column_for_each_class(root):
    header = ["path", "cat", "dog", "blurred", "notes", "patient"]
    labels = [["1", "1", "", ""], ["0", "yes", "", ""], ["1", "0", "", "late"]]
    table = write(root, "x.csv", header, lambda i: [f"photos/{i}.png", *labels[i % 3], i // 2])
    layout = find(root)
    assert layout.options == {"table": table, "label_columns": ["cat", "dog"], "group_column": "patient"}
    assert layout.reasons["label_columns"].endswith("since a picture may have several: 33% of the rows do")


def test_find_table__one_class_in_each_row_is_remarked(root):
    write(root, "x.csv", ["path", "cat", "dog"], lambda i: [f"photos/{i}.png", i % 2, 1 - i % 2])
    layout = find(root)
    assert layout.options["label_columns"] == ["cat", "dog"]
    assert "each row has exactly one class" in layout.reasons["label_columns"]


def test_find_table__an_answer_names_the_columns_of_the_classes(root):
    write(root, "x.csv", ["path", "cat", "dog", "label"], lambda i: [f"photos/{i}.png", 1, i % 2, "ab"[i % 2]])
    assert find(root).options == {"table": str(root / "x.csv")}
    assert "label_column" not in find(root, label_columns=["cat", "dog"]).options


def test_find_table__images_and_masks_are_to_be_lists(root):
    for index in range(12):
        save(root / "masks" / f"m{index}.png", picture())
    for header in (["image", "mask"], ["path", "label"]):
        write(root, "pairs.csv", header, lambda i: [f"photos/{i}.png", f"masks/m{i}.png"])
        with pytest.raises(DataError) as caught:
            find(root)
        assert str(caught.value) == (
            f"{root / 'pairs.csv'}: names images ({header[0]}) and masks ({header[1]}); write these two columns alone "
            "into a list for each split, train.csv and val.csv, with paths below its folder, and call init again"
        )


def test_find_table__a_second_column_of_paths_beside_the_labels_is_none_of_masks(root):
    table = write(
        root, "x.csv", ["path", "small", "label"], lambda i: [f"photos/{i}.png", f"photos/{i}.png", "ab"[i % 2]]
    )
    assert find(root).options == {"table": table}
