"""Diagnosis by all checks, in the order of severity."""

import shutil

import pytest

from lightseg.data import MaskFolder
from lightseg.diagnosis.diagnosis import Diagnosis, diagnose
from lightseg.diagnosis.findings import Finding
from lightseg.errors import DataError
from tests.diagnosis.fabricate import sound, truncate

CLASSES = ["background", "circle", "square", "triangle", "star", "ring"]


@pytest.mark.parametrize(
    ("severities", "clean", "trains"),
    [((), True, True), (("note",), True, True), (("note", "warning"), False, True), (("error",), False, False)],
)
def test_diagnosis__is_clean_and_trains(severities, clean, trains):
    diagnosis = Diagnosis([])
    for severity in severities:
        diagnosis.add([Finding("x", severity, "", "")])
    assert (diagnosis.clean, diagnosis.trains) == (clean, trains)


def test_add__the_most_severe_come_first_and_equal_ones_in_their_order():
    diagnosis = Diagnosis([Finding("a", "note", "", "")])
    diagnosis.add([Finding("b", "error", "", ""), Finding("c", "note", "", ""), Finding("d", "error", "", "")])
    assert [finding.check for finding in diagnosis.findings] == ["b", "d", "a", "c"]


def _data(root):
    return MaskFolder(root=str(root), classes=CLASSES, num_workers=0, batch_size=4, train_transforms=[])


def test_diagnose__a_broken_image_stops_the_checks_of_a_training_alone(tmp_path):
    root = sound(tmp_path, {"train": 6, "val": 3}, side=32)
    diagnosis = diagnose(_data(root))
    assert diagnosis.trains
    assert diagnosis.sizes == {"train": 6, "val": 3, "test": 0}
    assert [row.name for row in diagnosis.rows] == CLASSES
    assert len(diagnosis.augmented) == 6

    truncate(root)
    diagnosis = diagnose(_data(root))
    assert not diagnosis.trains
    assert diagnosis.augmented == []
    assert "broken file" in [finding.check for finding in diagnosis.findings]
    assert [row.name for row in diagnosis.rows] == CLASSES


def test_diagnose__data_that_is_not_there_is_an_error(tmp_path):
    root = sound(tmp_path, {"train": 2, "val": 2}, side=32)
    shutil.rmtree(root / "train")
    shutil.rmtree(root / "val")
    with pytest.raises(DataError):
        diagnose(_data(root))
