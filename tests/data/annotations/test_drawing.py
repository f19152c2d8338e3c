"""Ids of annotated classes in a mask."""

import json
import pickle

import numpy as np
import pytest

from lightseg.data.annotations import draw
from lightseg.data.annotations.coco import CocoFormat
from lightseg.data.annotations.drawing import ClassDrawing, UndeclaredClassError
from lightseg.errors import DataError
from lightseg.labels import IGNORE

SIZE = (3, 8)
IDS = {"ground": 0, "car": 1, "blur": IGNORE}


def drawn(*objects, **rules):
    """First row of a mask with an object of each name, from column to column, in COCO's format."""
    entries = [
        [number, name, [[left, 0, right, 0, right, 3, left, 3]], is_crowd]
        for number, (name, left, right, is_crowd) in enumerate(objects)
    ]
    rules = {"background": 0, "overlap": "order", "other_classes": "error", "crowd": "class"} | rules
    mask = ClassDrawing(CocoFormat(), IDS, **rules).draw(json.dumps([SIZE, entries]).encode(), SIZE, "a.json: a.png")
    assert np.all(mask == mask[0])
    return mask[0].tolist()


def test_draw__ids_void_and_background():
    car, blur = ("car", 1, 4, 0), ("blur", 3, 5, 0)
    assert drawn(car, blur) == [0, 1, 1, IGNORE, IGNORE, 0, 0, 0]
    assert drawn(blur, car, background=IGNORE) == [IGNORE, 1, 1, 1, IGNORE, IGNORE, IGNORE, IGNORE]


def test_draw__objects_of_other_classes():
    car, boat = ("car", 1, 4, 0), ("boat", 0, 2, 0)
    assert drawn(car, boat, other_classes="skip") == [0, 1, 1, 1, 0, 0, 0, 0]
    assert drawn(car, boat, other_classes="ignore") == [IGNORE, IGNORE, 1, 1, 0, 0, 0, 0]
    with pytest.raises(
        UndeclaredClassError, match=r"annotation 1 .boat.: boat is not in data.classes; add it"
    ) as caught:
        drawn(car, boat, ("bus", 5, 6, 0), boat)
    assert caught.value.objects == {"boat": 2, "bus": 1}
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.objects) == (str(caught.value), caught.value.objects)


def test_draw__groups_of_objects():
    assert drawn(("car", 1, 4, 1)) == [0, 1, 1, 1, 0, 0, 0, 0]
    assert drawn(("car", 1, 4, 1), crowd="ignore") == [0, IGNORE, IGNORE, IGNORE, 0, 0, 0, 0]


def test_draw__an_error_of_the_drawing_names_the_file(monkeypatch):
    monkeypatch.setattr(draw, "_MOST_PIXELS", 10)
    with pytest.raises(DataError, match=r"a.json: a.png: its objects cover 12 pixels, one above the other; set"):
        drawn(("car", 1, 3, 0), ("car", 2, 4, 0), overlap="area")


def test_summarize__outlines_beyond_the_image_and_objects_of_other_classes():
    entries = [
        [0, "car", [[-2, 0, 4, 0, 4, 3]], 0],
        [1, "boat", [[0, 0, 4, 0, 4, 3]], 0],
        [2, "car", [[0, 0, 4, 0, 4, 3]], 0],
    ]
    drawing = ClassDrawing(CocoFormat(), IDS, "skip", "class", 0, "order")
    summary = drawing.summarize(json.dumps([SIZE, entries]).encode(), SIZE, "a.json: a.png")
    assert summary == (True, [2.0, 0.0], {"boat": 1})
