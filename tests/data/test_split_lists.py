"""Lists of the samples of each split, and the names that they may have in one."""

import re

import pytest

from lightseg.data.io.pairing import Pair
from lightseg.data.split_lists import list_split, read_lists
from lightseg.errors import ConfigError, DataError

LISTS = {"train": "train.txt", "val": "val.txt"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_read_lists__ignores_comments_and_empty_lines(tmp_path, encoding):
    (tmp_path / "train.txt").write_text("# comment\n a.png \n\nü.png\n", encoding=encoding)
    (tmp_path / "val.txt").write_text("c.png\n", encoding=encoding)
    entries = read_lists(tmp_path, {"train": "train.txt", "val": "val.txt"})
    assert entries == {"train": ["a.png", "ü.png"], "val": ["c.png"]}


def test_read_lists__missing_and_empty_lists(tmp_path):
    with pytest.raises(ConfigError, match="splits: no list for val"):
        read_lists(tmp_path, {"train": "train.txt"})
    lists = {"train": "train.txt", "val": "val.txt"}
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'train.txt'}: the list of the train split does not")):
        read_lists(tmp_path, lists)
    (tmp_path / "train.txt").write_text("# nothing\n")
    with pytest.raises(DataError, match="the list of the train split names no image"):
        read_lists(tmp_path, lists)


@pytest.mark.parametrize("name", ["a/1", "images/a/1.png", "./images/a/../a/1.png", "images/a/1.jpg", "1"])
def test_list_split__names_of_a_sample(tmp_path, name):
    samples = [Pair("a/1", "images/a/1.png", ""), Pair("a/2", "images/a/2.png", "")]
    splits = list_split(tmp_path, samples, LISTS, {"train": [name, "a/1"], "val": ["2"]})
    assert splits == {"train": samples[:1], "val": samples[1:], "test": []}


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (["1"], "train.txt: '1' names several images; write the path below the image folder"),
        (["a/3"], "train.txt: 'a/3' is not an image here; did you mean a/"),
        (["b/1"], "images/b/1.png: in train and in val; a split must not leak into another"),
    ],
)
def test_list_split__mistake(tmp_path, train, message):
    samples = [Pair(name, f"images/{name}.png", "") for name in ("a/1", "b/1")]
    with pytest.raises(DataError, match=re.escape(message)):
        list_split(tmp_path, samples, LISTS, {"train": train, "val": ["b/1"]})
