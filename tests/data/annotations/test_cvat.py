"""CVAT: kinds of shapes, the order of depth, subsets, and files that are damaged."""

import numpy as np
import pytest

from lightseg.data.annotations.cvat import CvatFormat, read_cvat
from lightseg.data.annotations.draw import rasterize
from lightseg.data.annotations.images import ImageIndex
from lightseg.errors import DataError
from tests.data.fabricate import picture, save

SIZE = (20, 30)


def parse(children):
    text = f'<image id="0" name="a.png" width="30" height="20">{children}</image>'
    return CvatFormat().parse(text.encode(), "a.xml: a.png")


def pixels(children):
    """Rows and columns of an object's pixels."""
    (record,) = parse(children).objects
    bitmap = rasterize(CvatFormat().shape(record, SIZE), SIZE)
    corner = np.array([bitmap.top, bitmap.left])
    return (np.argwhere(bitmap.pixels) + corner).tolist()


def test_shape__a_mask_is_encoded_along_the_rows_of_its_box():
    mask = '<mask label="car" rle="1, 2, 1, 1, 1" left="7" top="3" width="3" height="2"/>'
    assert pixels(mask) == [[3, 8], [3, 9], [4, 8]]


def test_shape__a_turned_box():
    box = '<box label="car" xtl="10" ytl="4" xbr="16" ybr="6" rotation="90"/>'
    assert pixels(box) == [[row, column] for row in range(2, 8) for column in (12, 13)]


def test_shape__an_ellipse():
    y, x = np.mgrid[:20, :30] + 0.5
    expected = ((x - 12) / 6.3) ** 2 + ((y - 9) / 4.2) ** 2 < 1
    assert pixels('<ellipse label="car" cx="12" cy="9" rx="6.3" ry="4.2"/>') == np.argwhere(expected).tolist()


def test_parse__objects_are_in_the_order_of_depth():
    boxes = "".join(
        f'<box label="{label}" xtl="1" ytl="1" xbr="5" ybr="5"{depth}/>'
        for label, depth in (("c", ' z_order="2"'), ("a", ' z_order="-1"'), ("b", ""), ("d", ' z_order="2"'))
    )
    record = parse(boxes + '<tag label="night"/>')
    assert [item.name for item in record.objects] == ["a", "b", "c", "d"]
    assert (record.labels, record.size) == (["night"], SIZE)


@pytest.mark.parametrize(
    ("child", "message"),
    [
        ('<polyline label="car" points="1,1;5,5;9,1"/>', "polyline 0 .car.: is a polyline, which has no area"),
        ('<polygon label="car" points="1,1;5,5"/>', "has 2 points, and an area needs three"),
        ('<polygon label="car" points="1,1;5,5;a,b"/>', "its outline is no list of numbers"),
        ('<polygon label="car" points="1,1;5,5;9"/>', "its outline is no list of numbers"),
        ('<polygon label="car" points="1,1,0;5,5,0;9,1,0;9,9,0"/>', "its points have 3 numbers, and each needs two"),
        ('<polygon label="car"/>', "has no points; export the annotations again"),
        ('<polygon points="1,1;5,5;9,1"/>', "polygon 0: has no label"),
        ('<box label="car" xtl="40" ytl="1" xbr="50" ybr="5"/>', "lies outside of its image: x 40 to 50"),
        ('<box label="car" xtl="inf" ytl="1" xbr="50" ybr="5"/>', "holds inf, which is no coordinate"),
        ('<box label="car" xtl="1" ytl="1" xbr="5" ybr="5" z_order="x"/>', "its z_order is 'x', no whole number"),
        ('<mask label="car" rle="1,2" left="7" top="3" width="3" height="2"/>', "its runs add up to 3 pixels"),
        ('<mask label="car" rle="1,x" left="7" top="3" width="3" height="2"/>', "its runs are no whole numbers"),
        ('<mask label="car" rle="1" left="29" top="3" width="3" height="2"/>', "leaves its image, which is 30×20"),
    ],
)
def test_shape__that_is_damaged_is_refused(child, message):
    with pytest.raises(DataError, match=message):
        pixels(child)


@pytest.fixture
def read(tmp_path):
    """Read an XML file beside two pictures."""

    def run(text):
        for name in ("a", "b"):
            save(tmp_path / f"{name}.png", picture())
        (tmp_path / "a.xml").write_text(text)
        return read_cvat(tmp_path / "a.xml", ImageIndex(tmp_path))

    return run


def test_read__classes_with_an_area_and_subsets(read):
    labels = "".join(
        f"<label><name>{name}</name>{rest}</label>"
        for name, rest in (("car", ""), ("tree", "<type>mask</type>"), ("night", "<type>tag</type>"))
    )
    part = "<label><name>wheel</name><parent>car</parent></label>"
    images = "".join(
        f'<image id="{name}" name="{name}.png" width="9" height="9" subset="{subset}"/>'
        for name, subset in (("a", "Train"), ("b", "default"))
    )
    annotations = read(f"<annotations><meta><task><labels>{labels}{part}</labels></task></meta>{images}</annotations>")
    assert annotations.classes == ["car", "tree"]
    assert [(image.image, image.split, image.is_annotated) for image in annotations.images] == [
        ("a.png", "train", False),
        ("b.png", None, False),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations><track/></annotations>", "holds tracks of a video; export it as CVAT for images 1.1"),
        ("<svg/>", "is svg, not annotations of CVAT"),
        ("<annotations>", "is no XML"),
        ("", "is no XML"),
        ("<annotations><image id='4'/></annotations>", "image 4: has no name"),
        ("<annotations><image id='4' name='c.png'/></annotations>", "image 4: there is no image c.png"),
        ("<a>" * 100 + "</a>" * 100, "has more than 16 levels"),
        ('<?xml version="1.0" encoding="none"?><annotations/>', "is no XML"),
    ],
)
def test_read__a_damaged_file_is_refused(read, text, message):
    with pytest.raises(DataError, match=message):
        read(text)


def test_read__entities_that_multiply_are_refused(read):
    levels = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 10))
    text = f'<!DOCTYPE a [<!ENTITY e0 "{"x" * 100}">{levels}]><annotations><meta>&e9;</meta></annotations>'
    with pytest.raises(DataError, match="is no XML"):
        read(text)
