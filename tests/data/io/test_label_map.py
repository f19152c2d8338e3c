import numpy as np
import pytest
from PIL import Image

from lightseg.data.io.label_map import LabelMap, UndeclaredError
from lightseg.errors import DataError
from lightseg.labels import IGNORE
from tests.data.fabricate import picture, save, save_palette

TWO, THREE = ["background", "road"], ["background", "road", "car"]
COLORS = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)], np.uint8)
"""The colors of the palette that `save_palette` writes."""


def read(label_map, path, array):
    return label_map.read(save(path, np.array(array, np.uint8))).tolist()


def complaint(label_map, path):
    with pytest.raises(DataError) as caught:
        label_map.read(path)
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    assert str(path) in message
    return message


def test_label_map__values_are_ids_and_255_is_void(tmp_path):
    mask = LabelMap(THREE).read(save(tmp_path / "a.png", np.array([[0, 1, 2, 255]], np.uint8)))
    assert mask.tolist() == [[0, 1, 2, IGNORE]]
    assert mask.dtype == np.uint8


def test_label_map__values_0_and_255(tmp_path):
    assert read(LabelMap(TWO, {0: "background", 255: "road"}), tmp_path / "a.png", [[0, 255]]) == [[0, 1]]


def test_label_map__values_merge(tmp_path):
    label_map = LabelMap(TWO, {0: "background", 7: "road", 8: "road"})
    assert read(label_map, tmp_path / "a.png", [[0, 7, 8, 255]]) == [[0, 1, 1, IGNORE]]


def test_label_map__ignore(tmp_path):
    assert read(LabelMap(TWO, ignore=[11, 12]), tmp_path / "a.png", [[0, 1, 11, 12]]) == [[0, 1, IGNORE, IGNORE]]


def test_label_map__ignore_replaces_255(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 1, 255]], np.uint8))
    assert "value 255 (1 pixel) is not declared" in complaint(LabelMap(TWO, ignore=[11]), path)


def test_label_map__16_bit_values(tmp_path):
    path = save(tmp_path / "a.png", np.array([[1000, 26001, 65535]], np.uint16))
    label_map = LabelMap(TWO, {1000: "background", 26001: "road"}, ignore=[65535])
    assert label_map.read(path).tolist() == [[0, 1, IGNORE]]


def test_label_map__255_classes(tmp_path):
    label_map = LabelMap([str(i) for i in range(255)])
    assert read(label_map, tmp_path / "a.png", [[0, 254, 255]]) == [[0, 254, IGNORE]]


def test_label_map__palette_rgb_and_grey_files_give_the_same_ids(tmp_path):
    ids = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    by_value, by_color = LabelMap(THREE), LabelMap(THREE, colors=dict(zip(THREE, COLORS.tolist(), strict=False)))
    palette = save_palette(tmp_path / "palette.png", ids)
    rgb = save(tmp_path / "rgb.png", COLORS[ids])
    rgba = save(tmp_path / "rgba.png", np.dstack([COLORS[ids], np.full_like(ids, 9)]))
    gray = save(tmp_path / "gray.png", ids)
    assert by_value.read(gray).tolist() == by_value.read(palette).tolist() == ids.tolist()
    assert [by_color.read(path).tolist() for path in (palette, rgb, rgba)] == [ids.tolist()] * 3


def test_label_map__colors_merge_and_are_void(tmp_path):
    label_map = LabelMap(TWO, colors={"background": [0, 0, 0], "road": [[128, 0, 0], [0, 128, 0]]}, ignore=[[1, 2, 3]])
    mask = [[[0, 0, 0], [128, 0, 0], [0, 128, 0], [1, 2, 3]]]
    assert read(label_map, tmp_path / "a.png", mask) == [[0, 1, 1, IGNORE]]


def test_label_map__values_and_colors_read_either_kind_of_file(tmp_path):
    label_map = LabelMap(TWO, {0: "background", 9: "road"}, {"background": [0, 0, 0], "road": [128, 0, 0]})
    assert read(label_map, tmp_path / "gray.png", [[0, 9]]) == [[0, 1]]
    assert read(label_map, tmp_path / "rgb.png", [[[0, 0, 0], [128, 0, 0]]]) == [[0, 1]]


def test_label_map__grey_saved_as_rgb(tmp_path):
    mask = [[[0, 0, 0], [255, 255, 255]]]
    assert read(LabelMap(TWO, {0: "background", 255: "road"}), tmp_path / "a.png", mask) == [[0, 1]]


def test_label_map__wholly_void_mask_is_allowed(tmp_path):
    assert read(LabelMap(TWO), tmp_path / "a.png", [[255, 255]]) == [[IGNORE, IGNORE]]


def test_label_map__repr_tells_maps_apart():
    assert repr(LabelMap(TWO)) == repr(LabelMap(TWO))
    assert repr(LabelMap(TWO)) != repr(LabelMap(TWO, ignore=[11]))
    assert repr(LabelMap(TWO)) != repr(LabelMap(TWO, {0: "road", 1: "background"}))


# ---- what masks may have wrong -------------------------------------------------------------------------------------


def test_label_map__undeclared_values_with_counts_and_fix(tmp_path):
    path = save(tmp_path / "7.png", np.array([[0, 255, 128, 128, 129]], np.uint8))
    message = complaint(LabelMap(TWO, {0: "background", 255: "road"}), path)
    assert "value 128 (2 pixels), 129 (1 pixel) are not declared" in message
    assert "values: {0: background, 255: road, 128: CLASS, 129: CLASS}" in message
    assert "ignore: [128, 129]" in message


def test_label_map__the_printed_line_keeps_the_default_void(tmp_path):
    path = save(tmp_path / "7.png", np.array([[0, 1, 9]], np.uint8))
    assert "ignore: [255, 9]" in complaint(LabelMap(TWO), path)


def test_label_map__ids_counted_from_one(tmp_path):
    message = complaint(LabelMap(THREE), save(tmp_path / "a.png", np.array([[1, 2, 3]], np.uint8)))
    assert "counted from 1" in message
    assert "values: {1: background, 2: road, 3: car}" in message


def test_label_map__0_to_c_is_not_counted_from_one(tmp_path):
    message = complaint(LabelMap(THREE), save(tmp_path / "a.png", np.array([[0, 1, 2, 3]], np.uint8)))
    assert "value 3 (1 pixel) is not declared" in message
    assert message.endswith("ignore: [255, 3]; or, if 0 is void and the classes count from 1:  reduce_zero_label: true")


@pytest.mark.parametrize("ids", [[0, 1, 2, 4], [0, 1, 2, 3, 4]])
def test_label_map__other_undeclared_values_do_not_suggest_to_count_from_one(tmp_path, ids):
    assert "count" not in complaint(LabelMap(THREE), save(tmp_path / "a.png", np.array([ids], np.uint8)))


def test_label_map__rgb_without_colors_lists_them(tmp_path):
    path = save(tmp_path / "a.png", np.array([[[0, 0, 0], [128, 64, 128], [128, 64, 128]]], np.uint8))
    message = complaint(LabelMap(TWO), path)
    assert "the mask is RGB" in message
    assert "[128, 64, 128] (2 pixels)" in message
    assert "colors: {CLASS: [128, 64, 128], CLASS: [0, 0, 0]}" in message


def test_label_map__undeclared_color(tmp_path):
    label_map = LabelMap(TWO, colors={"background": [0, 0, 0], "road": [128, 0, 0]})
    message = complaint(label_map, save(tmp_path / "a.png", np.array([[[0, 0, 0], [1, 2, 3]]], np.uint8)))
    assert "color [1, 2, 3] (1 pixel) is not declared" in message
    assert "ignore: [[1, 2, 3]]" in message


def test_label_map__palette_index_is_shown_with_its_color(tmp_path):
    message = complaint(LabelMap(TWO), save_palette(tmp_path / "a.png", [[0, 1, 2]]))
    assert "value 2 (1 pixel, palette color [0, 128, 0]) is not declared" in message


def test_label_map__interpolated_mask(tmp_path):
    small = Image.fromarray(np.kron([[0, 255], [255, 0]], np.ones((8, 8))).astype(np.uint8))
    small.resize((50, 50), Image.Resampling.BILINEAR).save(tmp_path / "a.png")
    for label_map in (LabelMap(TWO), LabelMap(TWO, {0: "background", 255: "road"})):
        message = complaint(label_map, tmp_path / "a.png")
        assert "looks interpolated" in message
        assert "nearest neighbor" in message


def test_label_map__interpolated_colors(tmp_path):
    label_map = LabelMap(TWO, colors={"background": [0, 0, 0], "road": [128, 0, 0]})
    path = save(tmp_path / "a.png", picture())
    assert "looks interpolated" in complaint(label_map, path)
    assert "looks interpolated" in complaint(LabelMap(TWO), path)


def test_label_map__many_forgotten_classes_are_not_taken_for_interpolation(tmp_path):
    message = complaint(LabelMap(TWO), save(tmp_path / "a.png", np.arange(12, dtype=np.uint8)[None]))
    assert "not declared" in message
    assert "interpolated" not in message


def test_label_map__value_out_of_range(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, -1]]))
    assert "value -1 is no class id" in complaint(LabelMap(TWO), tmp_path / "a.npy")


def test_label_map__values_outside_16_bits_may_be_declared(tmp_path):
    for kind in (np.int32, np.int64, np.float64):
        np.save(tmp_path / "a.npy", np.array([[0, 70000, -9999, -1]], kind))
        label_map = LabelMap(TWO, {0: "background", 70000: "road"}, ignore=[-9999, -1, 1 << 40])
        assert label_map.read(tmp_path / "a.npy").tolist() == [[0, 1, 255, 255]]
    np.save(tmp_path / "a.npy", np.array([[0, 65535, 200]], np.uint16))
    assert "65535 (1 pixel)" in complaint(label_map, tmp_path / "a.npy")


def test_label_map__error_has_the_pixel_counts(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 9, 9]], np.uint8))
    with pytest.raises(UndeclaredError) as caught:
        LabelMap(TWO).read(path)
    assert caught.value.pixel_counts == {0: 1, 9: 2}


def test_undeclared_error__is_rebuilt_from_its_message():
    # as torch does with an error of a loading process
    assert str(UndeclaredError("a.png: value 9 is not declared")) == "a.png: value 9 is not declared"
