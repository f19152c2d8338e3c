"""Classification of pictures that a table lists."""

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch

from lightseg import doctor
from lightseg.data import ImageTable
from lightseg.errors import DataError
from lightseg.labels import IGNORE
from tests.data.datasets.labeled_pictures import label_rows, names, paint, recipe_text, refused, rows_of, write_table


@pytest.fixture
def root(tmp_path):
    """Folder of 2 × 6 pictures with `labels.csv`."""
    root = paint(tmp_path / "pictures", 6)
    write_table(root / "labels.csv", rows_of(root))
    return root


def labels(module):
    """Return the class of each sample, by its name."""
    parts = [module.dataset(split) for split in ("train", "val", "test")]
    return {part.name(index): module.classes[part[index][1]] for part in parts for index in range(len(part))}


def test_image_table__labels_are_those_of_the_rows(root):
    assert labels(ImageTable(str(root / "labels.csv"))) == dict(rows_of(root))
    module = ImageTable(str(root / "labels.csv"), classes=["dog", "cat"])
    assert labels(module) == dict(rows_of(root))
    assert module.classes == ["dog", "cat"]


def test_image_table__numbers_are_sorted_by_value(root):
    write_table(root / "labels.csv", [[path, str(index % 3 * 5)] for index, (path, _) in enumerate(rows_of(root))])
    assert ImageTable(str(root / "labels.csv")).classes == ["0", "5", "10"]


@pytest.mark.parametrize("location", ["root", "absolute", "home", "dots"])
def test_image_table__paths_may_start_in_several_places(root, location, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "tables").mkdir()
    prefix = {"root": "", "absolute": f"{root}/", "home": "~/pictures/", "dots": "../pictures/"}[location]
    rows = [[prefix + path, label] for path, label in rows_of(root)]
    table = write_table(tmp_path / "tables/labels.csv", rows)
    module = ImageTable(str(table), root=str(root) if location == "root" else None)
    module.check()
    assert sorted(Path(name).name for name in labels(module)) == sorted(Path(path).name for path, _ in rows)


@pytest.mark.parametrize(("stored", "listed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_image_table__names_in_another_normal_form_of_unicode(root, stored, listed):
    rows = [[unicodedata.normalize(listed, f"é{path}"), label] for path, label in rows_of(root)]
    for label in ("cat", "dog"):
        (root / label).rename(root / unicodedata.normalize(stored, f"é{label}"))
    module = ImageTable(str(write_table(root / "labels.csv", rows)))
    assert {unicodedata.normalize(listed, name): label for name, label in labels(module).items()} == dict(rows)
    assert module.dataset("train")[0][0].shape[2] == 3


@pytest.mark.parametrize(
    ("name", "delimiter", "option", "encoding"),
    [
        ("labels.tsv", "\t", None, "utf-8"),
        ("labels.csv", ";", ";", "utf-8-sig"),
        ("labels.csv", "\t", "\\t", "utf-16"),
    ],
)
def test_image_table__delimiters_and_encodings(root, name, delimiter, option, encoding):
    table = write_table(root / name, rows_of(root), delimiter=delimiter)
    table.write_text(table.read_text(), encoding=encoding)
    assert labels(ImageTable(str(table), delimiter=option)) == dict(rows_of(root))


def test_image_table__quoted_values_and_blank_lines(root):
    (root / "cat/00.png").rename(root / "cat/a, b.png")
    rows = rows_of(root)
    lines = [f'"{path}", {label} \r\n\r\n' for path, label in rows]
    (root / "labels.csv").write_text("path,label\r\n" + "".join(lines))
    assert labels(ImageTable(str(root / "labels.csv"))) == dict(rows)


def test_image_table__columns_by_option(root):
    rows = [[label, "x", path] for path, label in rows_of(root)]
    write_table(root / "labels.csv", rows, ("species", "note", "where"))
    module = ImageTable(str(root / "labels.csv"), path_column="where", label_column="species")
    assert labels(module) == dict(rows_of(root))


def test_image_table__split_column(root):
    values = ["train", "Training", "train", "val", "valid", "TEST"] * 2
    rows = [[*row, value] for row, value in zip(rows_of(root), values, strict=True)]
    expected = {
        "train": [f"{name}/0{index}.png" for name in ("cat", "dog") for index in (0, 1, 2)],
        "val": [f"{name}/0{index}.png" for name in ("cat", "dog") for index in (3, 4)],
        "test": ["cat/05.png", "dog/05.png"],
    }
    write_table(root / "labels.csv", rows, ("path", "label", "split"))
    assert names(ImageTable(str(root / "labels.csv"))) == expected
    write_table(root / "labels.csv", rows, ("path", "label", "part"))
    assert names(ImageTable(str(root / "labels.csv"), split_column="part")) == expected


def test_image_table__without_val_rows_val_comes_from_train(root):
    rows = [[*row, "test" if row[0].endswith("5.png") else "train"] for row in rows_of(root)]
    write_table(root / "labels.csv", rows, ("path", "label", "split"))
    module = ImageTable(str(root / "labels.csv"), val_fraction=0.2)
    assert [module.class_counts(split).tolist() for split in ("train", "val", "test")] == [[4, 4], [1, 1], [1, 1]]


def test_image_table__lists_replace_the_split_column(root):
    rows = [[*row, "train"] for row in rows_of(root)]
    write_table(root / "labels.csv", rows, ("path", "label", "split"))
    (root / "train.txt").write_text("cat/00.png\ndog/00.png\n")
    (root / "val.txt").write_text("cat/01.png\n")
    module = ImageTable(str(root / "labels.csv"), splits={"train": "train.txt", "val": "val.txt"})
    assert names(module) == {"train": ["cat/00.png", "dog/00.png"], "val": ["cat/01.png"], "test": []}


def test_image_table__group_column(root):
    rows = [[*row, f"patient{index % 4}"] for index, row in enumerate(rows_of(root))]
    write_table(root / "labels.csv", rows, ("path", "label", "patient"))
    group_of = {path: group for path, _, group in rows}
    for options in ({}, {"folds": 3, "fold": 1}):
        module = ImageTable(str(root / "labels.csv"), group_column="patient", **options)
        groups = [{group_of[name] for name in files} for files in names(module).values()]
        assert all(groups)
        assert sum(map(len, groups)) == len(set.union(*groups)) == 4


def test_image_table__fingerprint_and_cache_key_see_a_changed_label(root):
    options = {"split_column": "split"}
    rows = [[*row, "test" if row[0].endswith("5.png") else "train"] for row in rows_of(root)]
    table = str(write_table(root / "labels.csv", rows, ("path", "label", "split")))
    before = ImageTable(table, **options)
    shas, key, counts = before.fingerprint(), before.dataset("test").cache_key(), before.class_counts("test").tolist()
    rows[5][1] = "dog"
    write_table(root / "labels.csv", rows, ("path", "label", "split"))
    after = ImageTable(table, **options)
    assert after.fingerprint()["test"] != shas["test"]
    assert after.fingerprint()["train"] == shas["train"]
    assert after.dataset("test").cache_key() != key
    assert (counts, after.class_counts("test").tolist()) == ([1, 1], [0, 2])


def test_image_table__decoded_cache_follows_a_changed_label(root):
    rows = rows_of(root)
    table = str(root / "labels.csv")
    for label in ("cat", "dog"):
        rows[0][1] = label
        write_table(table, rows)
        module = ImageTable(table, num_workers=0, test_fraction=0)
        module.decode()
        assert labels(module)["cat/00.png"] == label


# ---- what tables may have wrong --------------------------------------------------------------------------------------


def _unknown_label(rows):
    rows[4][1] = "cta"
    return {"classes": ["cat", "dog"]}, "line 6: cat/04.png has the label cta, which is not in data.classes"


def _no_label(rows):
    rows[4][1] = " "
    return {}, "line 6: cat/04.png has no label; fill it in"


def _no_label_cell(rows):
    del rows[4][1]
    return {}, "line 6 has no label; fill it in, or remove the line"


def _missing_file(rows):
    rows[4][0] = "cat/99.png"
    return {}, "line 6: cat/99.png is no file in "


def _no_path(rows):
    rows[4][0] = ""
    return {}, "line 6 has no path of an image"


def _duplicate(rows):
    rows.append(["./cat/04.png", "cat"])
    return {}, "line 14: cat/04.png is on line 6 already; remove one of them"


def _contradiction(rows):
    rows.append(["cat/04.png", "dog"])
    return {}, "line 14: cat/04.png is dog, but cat on line 6; keep the right one"


def _one_class(rows):
    del rows[6:]
    return {}, "1 class (cat); at least two are needed"


def _ragged(rows):
    rows[4].append("x")
    return {}, 'line 6 has 3 columns, and the first line 2; put values that hold "," into quotation marks'


def _empty(rows):
    rows.clear()
    return {}, "labels.csv: the table is empty"


BROKEN_ROWS = [
    *(
        _unknown_label,
        _no_label,
        _no_label_cell,
        _missing_file,
        _no_path,
        _duplicate,
        _contradiction,
        _one_class,
        _ragged,
        _empty,
    )
]


@pytest.mark.parametrize("break_it", BROKEN_ROWS, ids=lambda function: function.__name__.strip("_"))
def test_image_table__broken_rows_are_one_line(break_it, root, fit, recipe, tmp_path):
    rows = rows_of(root)
    options, message = break_it(rows)
    table = write_table(root / "labels.csv", rows)
    assert message in refused(fit, recipe, tmp_path, table=table, batch_size=2, **options)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["../{root}/cat/04.png", "link.png"])
def test_image_table__another_name_of_a_file_is_a_duplicate(name, root):
    rows = rows_of(root)
    (root / "link.png").symlink_to("cat/04.png")
    name = name.format(root=root.name)
    table = write_table(root / "labels.csv", [*rows, [name, "cat"]])
    message = f"line 14: {name} is on line 6 already, as cat/04.png; remove one of them"
    with pytest.raises(DataError, match=re.escape(message)):
        ImageTable(str(table)).check()


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        (("place", "label"), {}, "no column is called path, file, image or the like; set data.path_column to one of"),
        (("path", "label"), {"label_column": "lable"}, "there is no column lable; did you mean label? (data.label_col"),
        (("path", "label", "split"), {}, "line 2: 'x' in column split is no split; write train, val or test"),
        (("path", "label"), {"group_column": "g"}, "there is no column g; there are path, label (data.group_column)"),
    ],
)
def test_image_table__wrong_columns_are_one_line(header, options, message, root, fit, recipe, tmp_path):
    rows = [[*row, "x"][: len(header)] for row in rows_of(root)]
    table = write_table(root / "labels.csv", rows, header)
    assert message in refused(fit, recipe, tmp_path, table=table, **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\ncat/00.png,café\n".encode("latin-1"), "line 2 is not UTF-8 (byte 0xe9); save it as UTF-8"),
        (None, "labels.csv: this table does not exist; set data.table"),
    ],
)
def test_image_table__broken_file_is_one_line(content, message, root, fit, recipe, tmp_path):
    (root / "labels.csv").unlink()
    if content is not None:
        (root / "labels.csv").write_bytes(content)
    assert message in refused(fit, recipe, tmp_path, table=root / "labels.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"split_column": "split", "splits": {"train": "a", "val": "b"}},
            "data.split_column, data.splits: both define",
        ),
        ({"group_column": "patient", "group": "(.)"}, "data.group_column, data.group: both define the groups"),
        ({"delimiter": "::"}, "data.delimiter: must be one character"),
    ],
)
def test_image_table__contradictory_options(options, message, root, fit, recipe, tmp_path):
    assert message in refused(fit, recipe, tmp_path, table=root / "labels.csv", **options)


def test_image_table__trains_from_the_command_line(root, fit, recipe):
    text = recipe_text(table=root / "labels.csv", batch_size=4)
    assert fit("--config", recipe(text), "--trainer.fast_dev_run", "true").code == 0


def test_image_table__parquet_equals_csv(root):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    rows = rows_of(root)
    content = pyarrow.table({"path": [path for path, _ in rows], "label": [label for _, label in rows]})
    parquet.write_table(content, root / "labels.parquet")
    assert names(ImageTable(str(root / "labels.parquet"))) == names(ImageTable(str(root / "labels.csv")))


def test_image_table__parquet_of_numbers_nulls_and_splits(root):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    rows = rows_of(root)
    ids = [["cat", "dog"].index(label) * 5 for _, label in rows]
    splits = ["train" if index % 3 else "val" for index in range(len(rows))]
    columns = {"file": [path for path, _ in rows], "target": pyarrow.array(ids).dictionary_encode(), "split": splits}
    parquet.write_table(pyarrow.table(columns), root / "LABELS.PARQUET")
    module = ImageTable(str(root / "LABELS.PARQUET"))
    assert module.classes == ["0", "5"]
    assert labels(module) == {path: str(label) for (path, _), label in zip(rows, ids, strict=True)}
    assert [len(names(module)[split]) for split in ("train", "val", "test")] == [8, 4, 0]
    ids[4] = None
    parquet.write_table(pyarrow.table({"file": columns["file"], "target": ids}), root / "labels.parquet")
    with pytest.raises(DataError, match=r"labels\.parquet: row 5: cat/04\.png has no label; fill it in"):
        ImageTable(str(root / "labels.parquet")).check()
    (root / "labels.parquet").write_bytes((root / "LABELS.PARQUET").read_bytes()[:-20])
    with pytest.raises(DataError, match=r"labels\.parquet: cannot be read as Parquet"):
        ImageTable(str(root / "labels.parquet")).check()


def test_image_table__images_outside_of_the_root_are_cached_and_read(root, tmp_path):
    (tmp_path / "tables").mkdir()
    rows = [[f"{root}/{path}", label] for path, label in rows_of(root)]
    module = ImageTable(str(write_table(tmp_path / "tables/labels.csv", rows)))
    train = module.dataset("train")
    assert len(train.cache_key()) == 64
    assert isinstance(train[0][0], np.ndarray)
    assert Path(train.name(0)).is_absolute()


# ---- labels that overlap ---------------------------------------------------------------------------------------------

LABELS = ("path", "red", "blue")


@pytest.fixture
def label_table(root):
    """Table of 18 pictures that are red, blue or both, of which two have an unknown label."""
    rows = label_rows(root)
    rows[0][2], rows[-1][1], rows[-1][2] = "", "TRUE", ""
    rows[1][1:] = ["1.0", "no"]
    return write_table(root / "labels.csv", rows, LABELS)


def test_image_table__a_column_for_each_label(label_table):
    module = ImageTable(str(label_table), label_columns=["blue", "red"], split_seed=1)
    assert (module.classes, module.kind, module.multilabel) == (["blue", "red"], "classification", True)
    parts = {split: module.dataset(split) for split in ("train", "val", "test")}
    targets = {part.name(index): part[index][1] for part in parts.values() for index in range(len(part))}
    assert {name: target.tolist() for name, target in targets.items() if target.tolist() != [1, 1]} == {
        "cat/00.png": [IGNORE, 1],
        **{f"cat/0{index}.png": [0, 1] for index in range(1, 6)},
        **{f"dog/0{index}.png": [1, 0] for index in range(6)},
        "both/05.png": [IGNORE, 1],
    }
    assert all(target.dtype == np.uint8 for target in targets.values())
    for split, part in parts.items():
        truth = np.array([[part[index][1] == value for value in (0, 1)] for index in range(len(part))])
        assert module.truth_table(split).tolist() == truth.transpose(0, 2, 1).astype(int).tolist()
        assert module.class_counts(split).tolist() == truth[:, 1].sum(0).tolist()
        assert module.class_counts(split).all()
    assert module.class_extents("train").tolist() == module.class_counts("train").tolist()


def test_image_table__labels_make_batches_with_counts(label_table):
    options = {"label_columns": ["red", "blue"], "batch_size": 6, "num_workers": 0, "folds": 2, "fold": 0}
    module = ImageTable(str(label_table), **options, sampling="class_balanced")
    module.in_channels = 3
    sample = module.eval_batch(0, "val")
    assert (sample["target"].dtype, list(sample["target"].shape)) == (torch.uint8, [1, 2])
    batch = module.train_sample(0)
    target = batch["target"][0].tolist()
    assert batch["counts"].tolist() == [[int(label == value) for value in (0, 1)] for label in target]
    weights, table = module.draw_weights(), module.class_table()
    # of two classes, of which there is none without one, each is at least in every other sample
    assert (weights @ table).min() >= 0.5 - 1e-9


def test_image_table__samples_without_a_label_are_drawn_as_one_class_more(root):
    rows = [[path, int(index == 0)] for index, (path, _) in enumerate(rows_of(root))]
    table = write_table(root / "labels.csv", rows, ("path", "ill"))
    module = ImageTable(str(table), label_columns=["ill"], sampling="class_balanced", val_fraction=0.2, test_fraction=0)
    weights = dict(zip(names(module)["train"], module.draw_weights().tolist(), strict=True))
    assert weights.pop(rows[0][0]) == pytest.approx(0.5)
    assert list(weights.values()) == pytest.approx([0.5 / len(weights)] * len(weights))


def test_image_table__decoded_labels_are_those_of_the_table(label_table):
    plain, decoded = (
        ImageTable(str(label_table), label_columns=["red", "blue"], num_workers=0, cache_gb=size) for size in (0, 1)
    )
    decoded.decode()
    first, second = plain.dataset("train"), decoded.dataset("train")
    assert type(second).__name__ == "DecodedDataset"
    for index in range(len(first)):
        for before, after in zip(first[index], second[index], strict=True):
            assert (before.dtype, before.tolist()) == (after.dtype, after.tolist())
    assert plain.fingerprint() == decoded.fingerprint()


def _no_value(rows):
    rows[4][1:] = ["", " "]
    return ["red", "blue"], "line 6: cat/04.png has no label; fill one in, or remove the row"


def _unknown_value(rows):
    rows[4][2] = "2"
    return ["red", "blue"], "line 6: '2' in column blue is no label; write 1, 0, or nothing where it is unknown"


def _other_labels(rows):
    rows.append(["cat/04.png", 0, 1])
    return ["red", "blue"], "line 20: cat/04.png is 0,1, but 1,0 on line 6; keep the right one"


def _no_column(rows):
    return ["red", "bleu"], "there is no column bleu; did you mean blue? (data.label_columns)"


def _column_twice(rows):
    return ["red", "red"], "data.classes: red is listed twice"


def _no_columns(rows):
    return [], "data.label_columns: name one or more columns"


@pytest.mark.parametrize(
    "break_it",
    [_no_value, _unknown_value, _other_labels, _no_column, _column_twice, _no_columns],
    ids=lambda function: function.__name__.strip("_"),
)
def test_image_table__broken_labels_are_one_line(break_it, root, fit, recipe, tmp_path):
    rows = label_rows(root)
    columns, message = break_it(rows)
    table = write_table(root / "labels.csv", rows, LABELS)
    assert message in refused(fit, recipe, tmp_path, table=table, label_columns=columns)


def test_image_table__labels_take_the_place_of_classes(label_table, fit, recipe, tmp_path):
    options = {"table": label_table, "label_columns": ["red"], "classes": ["red"]}
    assert "leave data.classes and data.label_column out" in refused(fit, recipe, tmp_path, **options)


def test_image_table__doctor_counts_labels(label_table, recipe, call, tmp_path):
    path = recipe(recipe_text(table=label_table, label_columns=["red", "blue"]))
    code, out, err = call(doctor.main, path, "--out", tmp_path / "doctor")
    assert code == 0, err
    assert re.search(r"red +\d+ .*\n.*blue +\d+ ", out)
    assert (tmp_path / "doctor/samples.png").stat().st_size > 1000
