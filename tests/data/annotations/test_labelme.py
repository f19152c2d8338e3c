"""LabelMe: the image of a file, its kinds of shapes, and those without area."""

import base64
import json

import numpy as np
import pytest

from lightseg.data.annotations.draw import rasterize
from lightseg.data.annotations.images import ImageIndex
from lightseg.data.annotations.labelme import LabelMeFormat, read_labelme
from lightseg.errors import DataError
from tests.data.annotations.one_drawing import labelme_content, write_json
from tests.data.fabricate import picture, save

SIZE = (20, 30)


def pixels(**shape):
    """Pixels of a shape in its image."""
    content = {"shapes": [{"label": "cat", **shape}]}
    (record,) = LabelMeFormat().parse(json.dumps(content).encode(), "a.json").objects
    bitmap = rasterize(LabelMeFormat().shape(record, SIZE), SIZE)
    mask = np.zeros(SIZE, bool)
    mask[bitmap.top : bitmap.top + bitmap.pixels.shape[0], bitmap.left : bitmap.left + bitmap.pixels.shape[1]] = (
        bitmap.pixels
    )
    return mask


def test_shape__rectangles_of_two_and_of_four_points_in_any_order():
    expected = np.zeros(SIZE, bool)
    expected[2:9, 3:7] = True
    for points in ([[3, 2], [7, 9]], [[7, 9], [3, 2]], [[3, 2], [7, 2], [7, 9], [3, 9]]):
        assert pixels(shape_type="rectangle", points=points).tolist() == expected.tolist()


def test_shape__a_circle_has_a_center_and_a_point_of_its_line():
    y, x = np.mgrid[:20, :30] + 0.5
    expected = np.hypot(x - 12, y - 9) < np.hypot(3, 4)
    # no center lies on the line
    assert np.abs(np.hypot(x - 12, y - 9) - 5).min() > 1e-3
    assert pixels(shape_type="circle", points=[[12, 9], [15, 13]]).tolist() == expected.tolist()


def test_shape__a_file_of_an_old_version_has_polygons():
    assert pixels(points=[[1, 1], [5, 1], [5, 5], [1, 5]]).sum() == 16


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"shape_type": "line", "points": [[1, 1], [5, 5]]}, "a.json: shape 0 .cat.: is a line, which has no area"),
        ({"shape_type": "point", "points": [[1, 1]]}, "is a point, which has no area"),
        ({"shape_type": "circle", "points": [[1, 1]]}, "is a circle of 1 points"),
        ({"shape_type": "polygon", "points": [[1, 1], [2, 2]]}, "has 2 points, and an area needs three"),
        ({"shape_type": "polygon"}, "has 0 points"),
        ({"shape_type": "polygon", "points": [[None, 1], [2, 2], [3, 3]]}, "its outline"),
        ({"shape_type": "mask", "points": [[1, 1], [5, 5]]}, "its mask is no PNG"),
        ({"shape_type": "mask", "points": [[1, 1], [5, 5]], "mask": "!"}, "its mask is no PNG"),
        ({"shape_type": "mask", "points": [[1, 1], [5, 5]], "mask": base64.b64encode(b"x").decode()}, "is no PNG"),
        ({"shape_type": "mask", "points": [[1, 1], [50, 5]]}, "its box, 50×5 pixels at x 1, y 1, leaves its image"),
    ],
)
def test_shape__without_an_area_is_refused(shape, message):
    with pytest.raises(DataError, match=message):
        pixels(**shape)


def test_shape__a_mask_of_another_size_than_its_box_is_refused(tmp_path):
    path = save(tmp_path / "mask.png", np.ones((3, 4), np.uint8))
    text = base64.b64encode(path.read_bytes()).decode()
    with pytest.raises(DataError, match="its mask is 4×3 and its box 5×5; draw it again"):
        pixels(shape_type="mask", points=[[1, 1], [5, 5]], mask=text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "a.json: has no shapes, and a list is expected"),
        ({"images": [], "annotations": []}, "a.json: is a file of COCO for many images; set data.annotations to the"),
        ({"shapes": [3]}, "a.json: shape 0: has no label"),
        ({"shapes": [{"label": 3}]}, "a.json: shape 0: its label is int, and a text is expected"),
        ({"shapes": [], "flags": {"cat": "false"}}, "a.json: its flags are not each true or false"),
        ({"shapes": [], "flags": ["cat"]}, "a.json: its flags are not each true or false"),
    ],
)
def test_parse__another_file_is_refused(content, message):
    with pytest.raises(DataError, match=message):
        LabelMeFormat().parse(json.dumps(content).encode(), "a.json")


def test_parse__flags_are_labels_of_the_image():
    content = {"shapes": [], "flags": {"cat": False, "dog": True}, "imageHeight": 4, "imageWidth": 5}
    record = LabelMeFormat().parse(json.dumps(content).encode(), "a.json")
    assert (record.labels, record.size, record.objects) == (["dog"], (4, 5), [])


@pytest.mark.parametrize(
    ("image", "file", "path"),
    [
        ("a.png", "a.json", "a.png"),
        ("images/a.png", "labels/a.json", "elsewhere.png"),
        ("images/a.png", "labels/b.json", "../images/a.png"),
        ("images/a.png", "labels/b.json", "C:\\photos\\a.png"),
        ("images/a.png", "labels/b.json", "/home/someone/a.png"),
    ],
)
def test_read__the_image_of_a_file(tmp_path, image, file, path):
    save(tmp_path / image, picture())
    write_json(tmp_path / file, labelme_content(0, []) | {"imagePath": path})
    (found,) = read_labelme(tmp_path, ImageIndex(tmp_path)).images
    assert (found.image, found.file, found.is_annotated) == (image, file, True)


def test_read__a_file_without_an_image_is_refused(tmp_path):
    save(tmp_path / "b.png", picture())
    write_json(tmp_path / "a.json", labelme_content(0, []) | {"imagePath": "a.png"})
    with pytest.raises(DataError, match=r"a.json: imagePath: there is no image a.png in"):
        read_labelme(tmp_path, ImageIndex(tmp_path))


def test_read__an_image_that_another_frame_of_its_name_would_replace_is_missing(tmp_path):
    save(tmp_path / "one" / "1.png", picture())
    write_json(tmp_path / "labels" / "x.json", labelme_content(0, []) | {"imagePath": "two/1.png"})
    with pytest.raises(DataError, match=r"imagePath: there is no image two/1.png"):
        read_labelme(tmp_path, ImageIndex(tmp_path))
