"""Folders of predictions that others made, or damaged."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from lightseg.errors import UserError
from lightseg.inference.inputs import Item
from lightseg.inference.results import DONE, FACTS, LABELS, Results
from tests.helpers.sparse import write_sparse

IDENTITY = {"sha256": "0", "protocol": "whole", "protocol_large": "windows", "temperature": 1.0}
SETTINGS = {**IDENTITY, "classes": [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}]}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def item(tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "p0.png")
    return Item(tmp_path / "p0.png", None, "p0")


@pytest.mark.parametrize("text", ["[]", '"x"', "null", "[" * 100_000, "\x00", "{"])
def test_results__facts_that_are_damaged(folder, text):
    (folder / FACTS).write_text(text)
    with pytest.raises(UserError, match=r"classes.json is damaged; delete the folder, or give another --out"):
        Results(folder, SETTINGS, "segmentation")


@pytest.mark.parametrize(
    "line", [b"[]", b"{}", b"5", b'{"name":"p0"}', b'{"name":["p0"]}', b"\xff\xfe", b"[" * 100_000, b'{"name":"p0","in']
)
def test_results__a_line_that_is_damaged_is_predicted_again(folder, item, line):
    Results(folder, SETTINGS, "segmentation").add(item, size=[4, 4])
    assert Results(folder, SETTINGS, "segmentation").has(item, [])
    complete = (folder / DONE).read_bytes()
    (folder / DONE).write_bytes(line + b"\n")
    results = Results(folder, SETTINGS, "segmentation")
    results.require_same_files([item])
    assert not results.has(item, [])
    (folder / DONE).write_bytes(line + b"\n" + complete)
    assert Results(folder, SETTINGS, "segmentation").has(item, [])


@pytest.mark.parametrize(("number", "probabilities"), [(2, [0.5, 0.5]), (-1, [0.5, 0.5]), (1, [1.0]), (1, ["x", "y"])])
def test_results__a_class_that_the_net_has_not(folder, item, number, probabilities):
    Results(folder, SETTINGS, "classification").add(item, **{"class": 1, "probabilities": [0.25, 0.75]})
    results = Results(folder, SETTINGS, "classification")
    results.write_labels([item], ["a", "b"], every_class=False)
    assert (folder / LABELS).read_text().splitlines()[1:] == [f"{item.file},,b,0.750000"]
    record = {**json.loads((folder / DONE).read_text()), "class": number, "probabilities": probabilities}
    (folder / DONE).write_text(json.dumps(record) + "\n")
    assert not Results(folder, SETTINGS, "classification").has(item, [])


@pytest.mark.parametrize("name", [DONE, LABELS])
def test_results__what_is_no_file_is_named(folder, tmp_path, name):
    (tmp_path / "private").write_text("private")
    for make in (os.mkfifo, os.mkdir, lambda path: path.symlink_to("../private")):
        make(folder / name)
        with pytest.raises(UserError, match=f"{name}: is .*; remove it, or give another --out"):
            Results(folder, SETTINGS, "segmentation")
        (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()
    assert (tmp_path / "private").read_text() == "private"


def test_results__a_list_of_terabytes(folder):
    write_sparse(folder / DONE)
    with pytest.raises(UserError, match=f"{DONE}: is damaged"):
        Results(folder, SETTINGS, "segmentation")


def test_results__outputs_that_cannot_be_written(folder, item):
    results = Results(folder, SETTINGS, "segmentation")
    results.add(item, size=[4, 4])
    os.mkfifo(folder / "p0.png")
    (folder / "overlays").write_text("")
    (folder / "probabilities").symlink_to("..")
    for path, place in (
        ("p0.png", "p0.png: is a link, a pipe"),
        ("overlays/p0.jpg", "overlays: is a file"),
        ("probabilities/p0.npy", "probabilities: is a link"),
    ):
        with pytest.raises(UserError, match=place):
            results.has(item, [folder / path])
