import numpy as np
import pytest
from PIL import Image

from lightseg.data.io.label_map import LabelMap
from lightseg.errors import DataError
from lightseg.scaffold.class_names import ClassNames
from lightseg.scaffold.mask_labels import find_labels
from tests.data.fabricate import ids, save, save_palette


def labels(folder, *values, names=None, **options):
    paths = [save(folder / f"{i}.png", np.array(ids(i, values=list(range(len(values)))), np.uint8)) for i in range(2)]
    for path in paths:
        indices = np.array(Image.open(path))
        save(path, np.array(values, np.uint8 if min(values) >= 0 else np.int16)[indices])
    return find_labels(paths, names, **options)


def named(tmp_path, names, numbers=(), colors=()):
    return ClassNames(tmp_path / "classes.txt", list(names), list(numbers), list(colors))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1], {"classes": ["background", "object"]}),
        ([0, 1, 2], {"classes": ["class_0", "class_1", "class_2"]}),
        ([0, 255], {"classes": ["background", "object"], "values": {0: "background", 255: "object"}}),
        ([1, 2], {"classes": ["class_1", "class_2"], "values": {1: "class_1", 2: "class_2"}}),
        # beside small ids 255 is void, but beside 170 it is one of four even steps
        ([0, 1, 255], {"classes": ["background", "object"]}),
        (
            [0, 85, 170, 255],
            {
                "classes": ["class_0", "class_85", "class_170", "class_255"],
                "values": {0: "class_0", 85: "class_85", 170: "class_170", 255: "class_255"},
            },
        ),
    ],
    ids=str,
)
def test_find_labels__values(tmp_path, values, expected):
    assert labels(tmp_path, *values).options == expected


def test_find_labels__negative_values_are_void(tmp_path):
    path = tmp_path / "0.tif"
    Image.fromarray(np.array([[-1, 0, 1, 1]], np.int32)).save(path)
    assert find_labels([path], None).options == {"classes": ["background", "object"], "ignore": [-1]}


@pytest.mark.parametrize(
    ("values", "names", "numbers", "expected"),
    [
        ([0, 1], ["sky", "road"], [], {"classes": ["sky", "road"]}),
        ([0, 255], ["sky", "road"], [], {"classes": ["sky", "road"], "values": {0: "sky", 255: "road"}}),
        # ids that do not occur stay classes
        ([0, 2], ["sky", "road", "car"], [], {"classes": ["sky", "road", "car"]}),
        ([0, 4, 9], ["a", "b"], [], {"classes": ["background", "a", "b"], "values": {0: "background", 4: "a", 9: "b"}}),
        ([3, 9], ["sky", "road"], [3, 9], {"classes": ["sky", "road"], "values": {3: "sky", 9: "road"}}),
        ([0, 1, 2], ["void", "a", "b"], [], {"classes": ["a", "b"], "values": {1: "a", 2: "b"}, "ignore": [0]}),
        # a file that does not fit
        ([0, 4, 9], list("abcde"), [], {"classes": ["class_0", "class_4", "class_9"]}),
    ],
    ids=str,
)
def test_find_labels__names_of_a_file(tmp_path, values, names, numbers, expected):
    options = labels(tmp_path, *values, names=named(tmp_path, names, numbers)).options
    assert {name: options[name] for name in expected} == expected


def test_find_labels__colors_with_names_and_void(tmp_path):
    colors = [(0, 0, 0), (9, 9, 200), (7, 7, 7)]
    path = save(tmp_path / "0.png", np.array([[[0, 0, 0], [9, 9, 200]]], np.uint8))
    names = named(tmp_path, ["void", "sea", "land"], colors=colors)
    assert find_labels([path], names).options == {
        "classes": ["sea", "land"],
        "colors": {"sea": [9, 9, 200], "land": [7, 7, 7]},
        "ignore": [[0, 0, 0]],
    }


def test_find_labels__a_gray_mask_among_colored_ones_has_a_color(tmp_path):
    paths = [
        save(tmp_path / "0.png", np.full((2, 2, 3), 7, np.uint8)),
        save(tmp_path / "1.png", np.array([[[0, 0, 255], [0, 0, 0]]], np.uint8)),
    ]
    options = find_labels(paths, None).options
    assert options["colors"] == {"black": [0, 0, 0], "blue": [0, 0, 255], "class_2": [7, 7, 7]}
    for path in paths:
        LabelMap(**options).read(path)


def test_find_labels__palettes_that_contradict_each_other_are_colors(tmp_path):
    palettes = [[0, 0, 0, 255, 0, 0], [255, 0, 0, 0, 0, 0]]
    paths = [save_palette(tmp_path / f"{i}.png", [[0, 1]], colors + [0] * 762) for i, colors in enumerate(palettes)]
    assert find_labels(paths, None).options["colors"] == {"black": [0, 0, 0], "red": [255, 0, 0]}


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_find_labels__smooth_edges_need_a_threshold(tmp_path, suffix):
    mask = np.zeros((64, 64), np.uint8)
    mask[10:50, 20:60] = 255
    smooth = Image.fromarray(mask).resize((300, 300), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / f"0.{suffix}")
    found = find_labels([tmp_path / f"0.{suffix}"], None)
    assert found.options == {"classes": ["background", "object"], "threshold": 128}
    assert "smooth edges" in found.reasons["threshold"]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([[[0, 1]], [[0, 255]]], "some masks hold 1 and others 255"),
        ([[[0, 0]]], "the masks hold only the value 0, and a training needs two classes"),
        ([[list(range(100))]], "100 values each, as instance ids or a resize leave them"),
        ([[[[i, i, 2 * i] for i in range(100)]]], "hold 100 colors, as after a resize"),
    ],
    ids=["1 or 255", "one value", "instances", "many colors"],
)
def test_find_labels__asks(tmp_path, masks, message):
    paths = [save(tmp_path / f"{i}.png", np.array(mask, np.uint8)) for i, mask in enumerate(masks)]
    with pytest.raises(DataError, match=message):
        find_labels(paths, None)


def test_find_labels__a_broken_mask_is_left_to_the_doctor(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"x")
    good = save_palette(tmp_path / "good.png", [[0, 1]])
    options = find_labels([tmp_path / "broken.png", good], None).options
    assert options["colors"] == {"background": [0, 0, 0], "object": [128, 0, 0]}
    with pytest.raises(DataError, match=r"broken\.png"):
        find_labels([tmp_path / "broken.png"], None)
