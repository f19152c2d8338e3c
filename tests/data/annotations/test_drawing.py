"""Classes of annotated objects."""

import pytest

from lightseg.data.annotations.drawing import Drawing
from lightseg.data.annotations.format import AnnotationFormat
from lightseg.data.annotations.objects import ImageRecord, ObjectRecord, Polygons, rectangle
from lightseg.errors import DataError
from lightseg.labels import IGNORE


class Letters(AnnotationFormat):
    """Objects as letters, each two pixels wide; a capital is a crowd."""

    name = "labelme"

    def parse(self, content, place):
        text = content.decode()
        objects = [
            ObjectRecord(f"{place}: object {at}", name.lower(), at, name.isupper()) for at, name in enumerate(text)
        ]
        return ImageRecord((1, 2 * len(text)), [], objects)

    def shape(self, record, size):
        return Polygons([rectangle(2 * record.outline, 0, 2 * record.outline + 2, 1)])


def _draw(text, other_classes="error", crowd="class", background=0):
    drawing = Drawing(Letters(), {"a": 1, "b": 2, "v": IGNORE}, background, "order", other_classes, crowd)
    return drawing.draw(text.encode(), (1, 2 * len(text)), "x.json")[0, ::2].tolist()


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("abv", {}, [1, 2, IGNORE]),
        ("azb", {"other_classes": "skip"}, [1, 0, 2]),
        ("azb", {"other_classes": "ignore", "background": 2}, [1, IGNORE, 2]),
        ("azb", {"other_classes": "skip", "background": IGNORE}, [1, IGNORE, 2]),
        ("aB", {}, [1, 2]),
        ("aB", {"crowd": "ignore"}, [1, IGNORE]),
    ],
)
def test_draw__ids_of_classes_crowds_and_others(text, options, expected):
    assert _draw(text, **options) == expected


def test_draw__an_undeclared_class_is_named_with_its_object():
    with pytest.raises(DataError, match=r"^x\.json: object 1: z is not in data\.classes; add it there or to"):
        _draw("az")


def test_draw__an_annotation_of_another_size_is_refused():
    drawing = Drawing(Letters(), {"a": 1}, 0, "order", "error", "class")
    with pytest.raises(DataError, match=r"^x\.json: is annotated as 2×1, and the image is 5×4"):
        drawing.draw(b"a", (4, 5), "x.json")
