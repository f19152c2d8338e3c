import numpy as np
import pytest
import tifffile

from lightseg.errors import DataError
from lightseg.scaffold.image_values import measure_images
from tests.data.fabricate import picture, save

DARK = {"channels": 1, "value_range": "auto"}


def measure(tmp_path, array, suffix="npy"):
    path = tmp_path / f"0.{suffix}"
    np.save(path, array) if suffix == "npy" else save(path, array)
    return measure_images([path])


@pytest.mark.parametrize(
    ("array", "suffix", "options", "summary"),
    [
        (picture(), "png", {}, "8-bit color"),
        (picture()[..., 0], "png", {"channels": 1}, "8-bit gray"),
        (np.full((8, 9), 4000, np.uint16), "png", {"channels": 1, "value_range": [0, 4095]}, "16-bit gray"),
        (np.full((8, 9), 60_000, np.uint16), "png", {"channels": 1}, "16-bit gray"),
        (np.eye(20, dtype=np.uint16) * 20_000 + 900, "png", {"channels": 1}, "16-bit gray"),
        (np.pad([[20_000]], (0, 30), constant_values=900).astype(np.uint16), "png", DARK, "16-bit gray"),
        (np.zeros((5, 20, 30), np.uint8), "npy", {"channels": 5}, "8-bit 5 channels"),
        (np.array([[[-12.5] * 3, [300] * 3]]), "npy", {"value_range": "auto"}, "float64 color"),
        (np.array([[[0.5] * 3, [1.0] * 3]]), "npy", {}, "float64 color"),
        (
            np.array([[[-9999] * 3, [0] * 3, [70] * 3]], np.int16),
            "npy",
            {"nodata": -9999.0, "value_range": "auto"},
            "int16 color",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_measure_images(tmp_path, array, suffix, options, summary):
    facts = measure(tmp_path, array, suffix)
    assert (facts.options, facts.summary) == (options, summary)
    assert facts.reasons.keys() == options.keys()
    assert facts.is_8_bit_color == (summary == "8-bit color")


def test_measure_images__missing_pixels_are_nan(tmp_path):
    facts = measure(tmp_path, np.array([[[np.nan] * 3, [2.0] * 3, [4.0] * 3]]))
    assert np.isnan(facts.options["nodata"])
    assert facts.options["value_range"] == "auto"
    assert facts.reasons["value_range"].startswith("the values here are 2 to 4: ")


def test_measure_images__a_file_states_its_nodata_value_and_has_many_bands(tmp_path):
    tag = (42113, "s", 0, "0", True)
    array = np.random.default_rng(0).integers(0, 3000, (12, 20, 30)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "0.tif", array, photometric="minisblack", planarconfig="separate", extratags=[tag])
    facts = measure_images([tmp_path / "0.tif"])
    assert facts.options == {"channels": 12, "nodata": 0.0, "value_range": [0, 4095]}
    assert "bands: [3, 2, 1] reads some of them" in facts.reasons["channels"]


def test_measure_images__gray_among_color_is_color(tmp_path):
    paths = [save(tmp_path / "0.png", picture()), save(tmp_path / "1.png", picture()[..., 0])]
    assert measure_images(paths).options == {}


def test_measure_images__none_can_be_read(tmp_path):
    (tmp_path / "0.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"0\.png: this image cannot be read"):
        measure_images([tmp_path / "0.png"])
