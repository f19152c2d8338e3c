"""Bands, measured ranges and missing pixels, from the recipe over training to prediction and evaluation."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

import lightseg
from lightseg.data import ImageFolder, MaskFolder
from lightseg.data.io.image_values import ImageValues
from lightseg.evaluate import main as evaluate
from lightseg.evaluation.trained_model import TrainedModel
from lightseg.predict import main as predict
from tests.data.datasets.mask_folder_case import SIZE, sample
from tests.data.fabricate import geotiff, raw_tags

OPTIONS = {"bands": [4, 3, 2], "value_range": "auto", "nodata": 0}


def _tile(image, mask):
    """Return 12 bands of 16 bits, of which three have the image; the first rows have no data."""
    tile = np.full((*mask.shape, 12), 9, np.uint16)
    tile[..., 3:0:-1] = image.astype(np.uint16) * np.uint16([10, 20, 30]) + 500
    tile[:6] = 0
    # without data in some of the bands only
    tile[6, :, 3] = 0
    return tile


@pytest.fixture
def tiles(case):
    case.images(".tif", lambda path, image, i: geotiff(path, _tile(*sample(i)), tile=(16, 16), compression="zlib"))
    return case


def _read_all(data, split):
    dataset = data.dataset(split)
    files = [dataset.root / dataset.name(index) for index in range(len(dataset))]
    return np.concatenate([tifffile.imread(file) for file in files])[..., [3, 2, 1]].astype(float)


def test_values__are_percentiles_and_means_of_train(tiles):
    data = tiles.data(**OPTIONS)
    image, mask = data.dataset("train")[0]
    stored = _read_all(data, "train")
    ranges = [np.percentile(stored[..., band][stored[..., band] != 0], [0.5, 99.5]) for band in range(3)]
    assert np.allclose(data.image_values.ranges, ranges)
    low, high = np.transpose(ranges)
    scaled = ((stored - low) / (high - low)).clip(0, 1)
    valid = [scaled[..., band][stored[..., band] != 0] for band in range(3)]
    assert np.allclose(data.image_values.fill, [values.mean() for values in valid])
    mean, std = data.pixel_stats()
    assert np.allclose((mean, std), ([values.mean() for values in valid], [values.std() for values in valid]))
    assert np.allclose(image[:6], data.image_values.fill)
    assert np.allclose(image[6, :, 0], data.image_values.fill[0])
    assert np.allclose(image[6, :, 1:], scaled[6, :, 1:])
    assert np.allclose(image[7:], scaled[7:SIZE])
    number = int(data.dataset("train").name(0)[7:9])
    assert (mask[:6] == 255).all()
    assert np.array_equal(mask[6:], sample(number)[1][6:])
    # all splits have the values of train
    assert data.dataset("val").values == data.image_values


def test_void__counts_nowhere_and_identifies_the_data(tiles):
    data = tiles.data(**OPTIONS)
    for split in ("train", "val"):
        dataset = data.dataset(split)
        masks = np.stack([dataset[index][1] for index in range(len(dataset))])
        assert data.class_counts(split).tolist() == np.bincount(masks[masks != 255], minlength=2).tolist()
    plain = tiles.data(**{**OPTIONS, "nodata": None})
    assert plain.class_counts().sum() == len(plain.dataset("train")) * SIZE * SIZE
    assert plain.split_fingerprint("train") != data.split_fingerprint("train")


def test_void__does_not_look_like_masks_of_0_and_255(tiles):
    tiles.masks(".png", lambda path, mask, i: Image.fromarray(mask * (i == 0)).save(path))
    data = tiles.data(**OPTIONS, splits={"train": "t.txt", "val": "v.txt"})
    (tiles.root / "t.txt").write_text("".join(f"{i:02d}\n" for i in range(6)))
    (tiles.root / "v.txt").write_text("06\n07\n")
    assert data.check()["val"].tolist()[1] == 0


def test_values__are_measured_once_and_equal_in_another_process(tiles, monkeypatch):
    first = tiles.data(**OPTIONS)
    first.dataset("val")
    with monkeypatch.context() as patch:
        patch.setattr("lightseg.data.datasets.file_data_module.measure_values", None)
        second = tiles.data(**OPTIONS)
        second.dataset("train")
        assert second.image_values == first.image_values
        assert second.pixel_stats() == first.pixel_stats()
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tiles.root / "other"))
    third = tiles.data(**OPTIONS)
    third.dataset("train")
    assert third.image_values == first.image_values


def test_bands__from_training_to_windows_with_georeference(tiles, call, tmp_path):
    outcome = tiles.fit(**OPTIONS)
    assert outcome.code == 0, outcome.err
    values = tiles.data(**OPTIONS)
    values.dataset("train")
    task = lightseg.load(outcome.folder)
    assert task.recipe["image_values"] == values.image_values.to_record()
    assert np.allclose(task.mean.ravel(), values.pixel_stats()[0])

    large = np.concatenate([np.concatenate([_tile(*sample(i + 3 * j)) for i in range(3)], 1) for j in range(2)])
    file = geotiff(tmp_path / "large.tif", np.moveaxis(large, -1, 0), planarconfig="separate", tile=(16, 16))
    code, _, err = call(predict, outcome.folder, file, "--out", tmp_path / "out", "--window", SIZE, "--overlays")
    assert code == 0, err
    assert raw_tags(tmp_path / "out/large.tif") == raw_tags(file)
    mask = tifffile.imread(tmp_path / "out/large.tif")
    is_missing = (large[..., 1:4] == 0).all(2)
    assert np.array_equal(mask == 255, is_missing)
    assert np.array_equal(mask, task.predict(file, window=SIZE))

    # without an option, the numbers of the run are repeated
    code, _, err = call(evaluate, outcome.folder, "--split", "val")
    assert (code, err) == (0, "")


def test_evaluate__other_images_are_read_by_the_values_of_the_net(tiles, call, tmp_path):
    outcome = tiles.fit(**OPTIONS)
    model = TrainedModel.of(outcome.folder / "checkpoints/best.ckpt", outcome.folder)
    trained = ImageValues.from_record(model.task.recipe["image_values"])
    for number in range(8):
        path = tiles.root / f"images/{number:02d}.tif"
        geotiff(path, tifffile.imread(path) // 2)
    for arguments, changes in (([], {}), (["--data.root", str(tiles.root / ".")], {"data.root": str(tiles.root)})):
        data, changed = model.data(None, arguments)
        assert changed.keys() <= changes.keys()
        assert data.dataset("val").values == trained
    data, _ = model.data(str(tiles.recipe(**OPTIONS)), [])
    assert data.dataset("val").values == trained
    # other options say otherwise
    data, changed = model.data(None, ["--data.nodata", "7"])
    assert changed == {"data.nodata": 7}
    data.dataset("val")
    assert data.image_values.ranges != trained.ranges


def test_values__a_resumed_run_takes_those_of_its_checkpoint(tiles, fit, monkeypatch):
    outcome = tiles.fit(**OPTIONS)
    (outcome.folder / "metrics.json").unlink()
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tiles.root / "other"))
    monkeypatch.setattr("lightseg.data.datasets.file_data_module.measure_values", None)
    assert fit("--config", tiles.recipe(**OPTIONS), "--resume", outcome.folder).code == 0
    assert (outcome.folder / "metrics.json").exists()


def test_evaluate__a_run_with_nan_as_nodata_repeats_its_numbers(case, call):
    def write(path, image, _):
        array = image.astype(np.float32) * 40 - 300
        array[:5] = np.nan
        tifffile.imwrite(path, array, photometric="rgb")

    case.images(".tif", write)
    outcome = case.fit(value_range=[-300, 9000], nodata=float("nan"))
    assert outcome.code == 0, outcome.err
    code, out, err = call(evaluate, outcome.folder, "--split", "val")
    assert code == 0, err
    assert json.loads((outcome.folder / "metrics.json").read_text())["val/score"] >= 0
    assert "nodata" not in out + err


def test_classification__bands_and_missing_pixels(tmp_path):
    for label in ("a", "b"):
        for number in range(6):
            geotiff(tmp_path / label / f"{number}.tif", _tile(*sample(number)))
    data = ImageFolder(root=str(tmp_path), **OPTIONS)
    image, _ = data.dataset("train")[0]
    assert image.shape == (SIZE, SIZE, 3)
    assert np.allclose(image[:6], data.image_values.fill)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": [1, 2], "channels": 4}, "data.channels: 4 is not the number of data.bands [1, 2]; leave it out"),
        ({"bands": [0, 1, 2]}, "data.bands: [0, 1, 2] must be numbers of bands, from 1 on"),
        ({"bands": [13, 1, 2]}, "has 12 channels, but data.bands names band 13"),
        ({"value_range": [[0, 1], [0, 2]]}, "data.value_range: give one pair for all channels, or one for each of 3"),
        ({"value_range": [[0, 1], [2, 2], [0, 2]]}, "data.value_range: [2.0, 2.0] is no range"),
        ({"value_range": "percent"}, "data.value_range"),
        ({"bands": None}, "set data.channels: 12, or data.bands: [1, 2, 3] to read some"),
    ],
)
def test_options__contradictions_are_one_line(tiles, options, message):
    error = tiles.refused(**{**OPTIONS, **options})
    assert message in error
    assert len(error.splitlines()) <= 2


def test_value_range__one_pair_for_each_channel(tiles):
    ranges = [[0, 4000], [0, 6000], [0, 9000]]
    image, _ = tiles.data(bands=[4, 3, 2], value_range=ranges).dataset("train")[0]
    number = int(tiles.data().dataset("train").name(0)[7:9])
    stored = _tile(*sample(number))[..., [3, 2, 1]]
    assert np.allclose(image, (stored / np.array([4000, 6000, 9000])).clip(0, 1))


def test_mask_folder__reads_signed_images_by_their_percentiles(case):
    case.images(".tif", lambda path, image, _: tifffile.imwrite(path, image.astype(np.int16) - 100, photometric="rgb"))
    assert case.fit(value_range="auto").code == 0
    data = MaskFolder(root=str(case.root), classes=["background", "object"], value_range="auto")
    assert data.dataset("train")[0][0].max() == 1
