"""Predictions of finished runs, made again for a page."""

import shutil

import numpy as np
import pytest

from lightseg.comparison.html.predictions import _numbered, predict_again
from lightseg.comparison.results import Trial
from lightseg.errors import DataError
from lightseg.runs.read import read


@pytest.fixture
def run(trained, tmp_path):
    """Return a copy of the finished run."""
    return read(shutil.copytree(trained, tmp_path / "run"))


def _trial(run):
    images = len(run.evaluation("val").images)
    return Trial((run,), np.zeros((images, 3, 6), np.int64), 0.5, np.zeros(6))


def test_predict_again__the_images_of_a_trial_and_nothing_of_other_data(run):
    images = run.evaluation("val").images
    examples, palette = predict_again(_trial(run), "val", [*images, "of another run"], [3, 1, 5])
    assert list(examples) == [3, 1]
    assert [example.name for example in examples.values()] == [images[3], images[1]]
    assert all(example.prediction.shape == example.target.shape == (32, 32) for example in examples.values())
    assert len(palette) == 6
    assert predict_again(_trial(run), "val", ["of another run"], [0]) == ({}, [])

    config = run.folder / "config.yaml"
    config.write_text(config.read_text().replace("image_size: 32", "image_size: 64"))
    with pytest.raises(DataError, match="^the val split is not any more what .* was scored on$"):
        predict_again(_trial(read(run.folder)), "val", images, [0])


def test_predict_again__a_split_that_was_not_scored_has_none(run):
    (run.folder / "per_image_val.npz").unlink()
    trial = Trial((run,), np.zeros((1, 3, 6), np.int64), 0.5, np.zeros(6))
    assert predict_again(trial, "val", ["0"], [0]) == ({}, [])


def test_predict_again__images_of_one_name_are_told_apart_by_their_order():
    assert _numbered(["a", "b", "a", "a"]) == [("a", 0), ("b", 0), ("a", 1), ("a", 2)]
