"""Downloads and lists of published datasets."""

import pytest

from lightseg.data.datasets.download import fetch, read_stems, split_off_val
from lightseg.data.io.pairing import Pair
from lightseg.errors import DataError


def test_fetch__only_what_is_not_complete(tmp_path):
    (tmp_path / "images").mkdir()
    calls = []
    fetch(tmp_path, ["images"], lambda: calls.append("complete"), "")
    fetch(tmp_path, ["images", "masks"], lambda: calls.append("incomplete"), "")
    assert calls == ["incomplete"]


@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("File not found or corrupted.")])
def test_fetch__a_failure_ends_with_what_to_do(tmp_path, error):
    def fail():
        raise error

    with pytest.raises(DataError) as raised:
        fetch(tmp_path, ["images"], fail, "get it from elsewhere")
    assert str(raised.value) == f"{tmp_path}: the download failed ({error})\nget it from elsewhere"


def test_read_stems__first_words_without_comments(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# a comment\npug_1 1 2 3\n\n  \npug_2\n")
    assert list(read_stems(path)) == ["pug_1", "pug_2"]


def test_split_off_val__a_seeded_part_of_train_and_test_as_it_is():
    train = [Pair(f"{number}", f"{number}.jpg", f"{number}.png") for number in range(20)]
    test = [Pair("x", "x.jpg", "x.png")]
    splits, again, other = (split_off_val(train, test, 0.25, seed) for seed in (0, 0, 1))
    assert len(splits["val"]) == 5
    assert sorted(splits["train"] + splits["val"]) == sorted(train)
    assert splits["test"] == test
    assert splits == again
    assert splits["val"] != other["val"]
