"""Files of masks of classes that may overlap, as `predict` writes them."""

import numpy as np
import pytest
import tifffile
from PIL import Image

import lightseg
from lightseg.data.io.masks import read_mask, read_mask_channels
from lightseg.inference.class_mask_writer import file_names
from lightseg.labels import IGNORE
from lightseg.predict import main
from tests.data.fabricate import geotiff, raw_tags
from tests.inference.models import write_checkpoint

NAMES = ("class 0", "class 1", "class 2")


@pytest.fixture
def checkpoint(tmp_path):
    return write_checkpoint(tmp_path / "model.ckpt", "MultilabelSegmentationTask")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (270, 300, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def predict(call, checkpoint, tmp_path):
    """The verb as a user calls it; gives exit code, standard output and errors."""

    def run(*args):
        return call(main, checkpoint, *args, "--out", tmp_path / "out")

    return run


@pytest.mark.parametrize("window", [(), ("--window", 64)], ids=str)
def test_png__one_for_each_class_with_overlaps(predict, checkpoint, photo, tmp_path, window):
    code, _, err = predict(photo, *window, "--overlays", "--probabilities")
    assert code == 0, err
    details = lightseg.load(checkpoint).predict(photo, window=window[1] if window else None, details=True)
    assert details.classes.shape == (3, 270, 300)
    assert (details.classes.sum(0) > 1).any()
    for label, name in enumerate(NAMES):
        assert np.array_equal(read_mask(tmp_path / f"out/photo_{name}.png"), details.classes[label])
    with Image.open(tmp_path / "out/photo_class 1.png") as mask:
        assert mask.getpalette()[:6] == [0, 0, 0, 128, 0, 0]
    probabilities = np.load(tmp_path / "out/probabilities/photo.npy")
    assert np.allclose(probabilities, details.probabilities, atol=1e-3)
    with Image.open(tmp_path / "out/overlays/photo.jpg") as overlay:
        assert overlay.size == (300, 270)


def test_tiff__one_with_a_channel_for_each_class(predict, checkpoint, photo, tmp_path):
    code, _, err = predict(photo, "--multichannel", "--window", 64)
    assert code == 0, err
    expected = lightseg.load(checkpoint).predict(photo, window=64)
    assert np.array_equal(tifffile.imread(tmp_path / "out/photo.tif"), expected)
    # as a mask that `MultilabelMaskFolder` reads
    assert np.array_equal(read_mask_channels(tmp_path / "out/photo.tif", 3), expected.transpose(1, 2, 0))
    assert [path.name for path in (tmp_path / "out").glob("photo*")] == ["photo.tif"]


def test_tiff__of_a_single_class(call, photo, tmp_path):
    model = write_checkpoint(tmp_path / "binary.ckpt", "BinarySegmentationTask", classes=1)
    code, _, err = call(main, model, photo, "--multichannel", "--out", tmp_path / "out")
    assert code == 0, err
    expected = lightseg.load(model).predict(photo)
    assert expected.any()
    assert np.array_equal(tifffile.imread(tmp_path / "out/photo.tif"), expected[0])
    assert np.array_equal(read_mask_channels(tmp_path / "out/photo.tif", 1)[..., 0], expected[0])


@pytest.mark.parametrize("options", [(), ("--multichannel",)], ids=str)
def test_geotiff__masks_keep_the_georeference_and_are_void_without_data(call, tmp_path, options):
    values = {"nodata": 0.0, "fill": [0.5] * 3}
    model = write_checkpoint(tmp_path / "model.ckpt", "MultilabelSegmentationTask", image_values=values)
    bands = np.random.default_rng(0).integers(1, 255, (70, 300, 3), np.uint8)
    bands[:20, :30] = 0
    geotiff(tmp_path / "map.tif", bands)
    code, _, err = call(main, model, tmp_path / "map.tif", *options, "--window", 64, "--out", tmp_path / "out")
    assert code == 0, err
    expected = lightseg.load(model).predict(tmp_path / "map.tif", window=64)
    assert (expected[:, :20, :30] == IGNORE).all()
    assert set(np.unique(expected[:, 20:])) == {0, 1}
    files = ["map.tif"] if options else [f"map_{name}.tif" for name in NAMES]
    assert np.array_equal(
        np.stack([tifffile.imread(tmp_path / "out" / file) for file in files]).reshape(expected.shape), expected
    )
    for file in files:
        assert raw_tags(tmp_path / "out" / file) == raw_tags(tmp_path / "map.tif")
        with tifffile.TiffFile(tmp_path / "out" / file) as tiff:
            assert tiff.pages[0].tags[42113].value == "255"


def test_predict__done_images_are_skipped_and_missing_files_are_written_again(predict, photo, tmp_path):
    assert predict(photo)[0] == 0
    assert "1 were there" in predict(photo)[1]
    (tmp_path / "out/photo_class 2.png").unlink()
    assert "were there" not in predict(photo)[1]
    assert (tmp_path / "out/photo_class 2.png").is_file()


def test_predict__two_images_with_one_mask_are_refused(call, tmp_path):
    model = write_checkpoint(tmp_path / "model.ckpt", "MultilabelSegmentationTask", names=["a_b", "b"])
    for name in ("x.png", "x_a.png"):
        Image.new("RGB", (32, 32)).save(tmp_path / name)
    args = (model, tmp_path / "x.png", tmp_path / "x_a.png", "--out", tmp_path / "out")
    code, _, err = call(main, *args)
    assert code == 2
    assert "x_a_b.png: would be a mask of " in err
    assert call(main, *args, "--multichannel")[0] == 0


def test_names__of_classes_that_no_file_may_have():
    assert file_names(["road", "Überweg", "a/b", "a_b", "A_B", ".."]) == [
        "road",
        "Überweg",
        "a_b_2",
        "a_b_3",
        "A_B_4",
        "..",
    ]


def test_names__with_an_id_are_not_those_of_other_classes():
    assert file_names(["a/b", "a_b", "a_b_0"]) == ["a_b_0", "a_b_1", "a_b_0_2"]


def test_multichannel__of_masks_of_one_class_per_pixel_is_refused(call, photo, tmp_path):
    model = write_checkpoint(tmp_path / "single.ckpt")
    code, _, err = call(main, model, photo, "--multichannel", "--out", tmp_path / "out")
    assert (code, "--multichannel is for masks of classes that may overlap" in err) == (2, True)
    assert not (tmp_path / "out").exists()
