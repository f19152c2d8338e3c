import numpy as np
import pytest

from lightseg.data import ImageFolder
from lightseg.errors import DataError
from lightseg.scaffold.survey import survey_folder
from tests.data.fabricate import ids, picture, save


def videos(root, noise, count=8):
    """Frames of videos, each a picture with some noise."""
    for video in range(count):
        still = picture(video, 32, 32)
        for frame in range(4):
            image = picture(100 * video + frame, 32, 32) if noise else still + np.uint8(frame)
            save(root / "images" / f"v{'abcdefgh'[video]}_{frame}.png", image)
            save(root / "masks" / f"v{'abcdefgh'[video]}_{frame}.png", ids(frame, 32, 32))


def test_survey__frames_of_a_video_stay_in_one_split(tmp_path):
    videos(tmp_path, noise=False)
    survey = survey_folder(tmp_path, {})
    assert survey.options["group"] == "([^/]+)[_-][A-Za-z]*[0-9]+[^/0-9]*$"
    assert survey.group == ""
    assert any("by groups at random" in line for line in survey.lines)


def test_survey__groups_in_names_alone_are_suggested(tmp_path):
    videos(tmp_path, noise=True)
    survey = survey_folder(tmp_path, {})
    assert "group" not in survey.options
    assert survey.group == "([^/]+)[_-][A-Za-z]*[0-9]+[^/0-9]*$"


def test_survey__two_videos_cannot_fill_three_splits(tmp_path):
    videos(tmp_path, noise=False, count=2)
    assert "group" not in survey_folder(tmp_path, {}).options


def test_survey__counts_all_labels_and_reads_some(tmp_path, monkeypatch):
    monkeypatch.setattr("lightseg.scaffold.survey._READ", 2)
    for index in range(20):
        save(tmp_path / "train" / "ab"[index > 14] / f"{index}.png", picture(index))
        save(tmp_path / "val" / "ab"[index % 2] / f"{index}.png", picture(100 + index))
    survey = survey_folder(tmp_path, {})
    assert survey.module is ImageFolder
    assert survey.counts.tolist() == [15, 5]
    assert len(survey.image_sizes) == 2
    assert survey.lines[-1] == "classes: a 75.0%, b 25.0%"


def test_survey__masks_of_another_size_are_named(tmp_path):
    for index in range(4):
        save(tmp_path / "images" / f"{index}.png", picture(index))
        save(tmp_path / "masks" / f"{index}.png", ids(index, 8, 8))
    with pytest.raises(DataError, match="export the mask at the image's size"):
        survey_folder(tmp_path, {})


def test_survey__broken_files_are_left_to_the_doctor(tmp_path):
    for index in range(10):
        save(tmp_path / "images" / f"{index}.png", picture(index))
        save(tmp_path / "masks" / f"{index}.png", ids(index))
    (tmp_path / "images" / "0.png").write_bytes(b"x")
    (tmp_path / "masks" / "1.png").write_bytes(b"x")
    assert survey_folder(tmp_path, {}).lines[-1] == "2 samples of 10 cannot be used: the doctor lists them"
