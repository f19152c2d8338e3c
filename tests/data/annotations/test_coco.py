"""COCO: run-length encodings against its own library, and files that contradict themselves."""

import numpy as np
import pytest
from pycocotools import mask as coder

from lightseg.data.annotations.coco import CocoFormat, read_coco
from lightseg.data.annotations.images import ImageIndex
from lightseg.data.annotations.objects import ObjectRecord
from lightseg.errors import DataError
from tests.data.annotations.one_drawing import write_json
from tests.data.fabricate import picture, save


def decode(encoded, size):
    outline = {"size": list(size), "counts": encoded}
    return CocoFormat().shape(ObjectRecord("a.json: annotation 1 (cat)", "cat", outline), size).pixels


@pytest.mark.parametrize(("size", "share"), [((1, 1), 0.5), ((7, 9), 0.5), ((64, 50), 0.02), ((700, 600), 0.0001)])
def test_compressed_runs__are_those_of_the_library(size, share):
    rng = np.random.default_rng(size)
    for _ in range(20):
        pixels = rng.random(size) < share
        encoded = coder.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"].decode()
        assert decode(encoded, size).tolist() == pixels.tolist()
    for pixels in (np.zeros(size, np.uint8), np.ones(size, np.uint8)):
        encoded = coder.encode(np.asfortranarray(pixels))["counts"].decode()
        assert decode(encoded, size).tolist() == (pixels > 0).tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is damaged"),
        ("0P", "is damaged"),
        ("0é", "is damaged"),
        ("\x00", "is damaged"),
        # half of a surrogate pair, which JSON can hold
        ("0\ud800", "is damaged"),
        ("0" * 5, "add up to 0 pixels"),
        ("PPPPPPPPPPPPPPPP0", "holds a number of 85 bits"),
        ("ooooooo3", "add up to"),
        ("O1", "add up to"),
    ],
)
def test_compressed_runs__that_are_damaged_are_refused(text, message):
    with pytest.raises(DataError, match=message):
        decode(text, (5, 7))


@pytest.fixture
def read(tmp_path):
    """Read a COCO file of two pictures with some entries changed."""

    def run(**changes):
        for name in ("a", "b"):
            save(tmp_path / f"{name}.png", picture())
        images = [{"id": number, "file_name": f"{name}.png"} for number, name in enumerate("ab")]
        outline = [[1, 1, 9, 1, 5, 9]]
        content = {
            "images": images,
            "categories": [{"id": 3, "name": "dog"}, {"id": 1, "name": "cat"}],
            "annotations": [{"id": 8, "image_id": 1, "category_id": 3, "segmentation": outline}],
        } | changes
        write_json(tmp_path / "a.json", content)
        return read_coco(tmp_path / "a.json", ImageIndex(tmp_path))

    return run


def test_read__classes_are_in_the_order_of_their_ids_and_sizes_are_optional(read):
    annotations = read()
    assert annotations.classes == ["cat", "dog"]
    assert [(image.image, image.is_annotated) for image in annotations.images] == [("a.png", False), ("b.png", True)]
    record = annotations.format.parse(annotations.images[1].content, "here")
    assert (record.size, [item.name for item in record.objects]) == (None, ["dog"])
    assert read(annotations=None).images[1].is_annotated is False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "a.json: has no images, and a list is expected"),
        ({"images": [3]}, "entry 0 of images is int"),
        ({"images": [{"id": 1}]}, "image 1: has no file_name, and a text is expected"),
        ({"images": [{"id": 1, "file_name": 5}]}, "image 1: its file_name is int, and a text is expected"),
        ({"images": [{"id": [1], "file_name": "a.png"}]}, "its id is list, and a number is expected"),
        (
            {"images": [{"id": 1, "file_name": "a.png", "height": "9", "width": 9}]},
            "its height is str, and a whole number is expected",
        ),
        ({"images": [{"id": 1, "file_name": "a.png"}] * 2}, "image 1: occurs twice"),
        ({"categories": [{"id": 1, "name": "cat"}] * 2}, "category 1: occurs twice"),
        ({"annotations": [7]}, "annotation 0: has no image_id"),
        ({"annotations": [{"image_id": 1, "category_id": 1, "iscrowd": "0"}]}, "annotation 0: its iscrowd is neither"),
        ({"annotations": "all"}, "its annotations are no list"),
    ],
)
def test_read__a_damaged_file_is_refused(read, changes, message):
    with pytest.raises(DataError, match=message):
        read(**changes)
