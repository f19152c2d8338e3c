"""Layouts, values and mistakes of folders with a mask for each class."""

import json

import numpy as np
import pytest
import tifffile

import lightseg
from lightseg import doctor, evaluate, predict
from lightseg.data import MultilabelMaskFolder, ShapesMultilabel
from lightseg.data.io.masks import read_mask
from lightseg.errors import ConfigError, DataError
from lightseg.labels import IGNORE
from tests.data.fabricate import picture, save

ROAD = np.zeros((12, 16), np.uint8)
ROAD[2:8, 3:10] = 1
CAR = np.zeros((12, 16), np.uint8)
CAR[5:11, 6:15] = 1
BOTH = np.stack([ROAD, CAR], -1)
CLASSES = ["road", "car"]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path_factory.mktemp("cache")))


def write(root, template="{class}/{name}", masks=(ROAD, CAR), count=8, suffix=".png", prefix=""):
    """Write images, and the same masks for each of them; returns the root."""
    for index in range(count):
        save(root / prefix / f"images/{index}.png", picture(index))
        for name, mask in zip(CLASSES, masks, strict=True):
            path = template.replace("{class}", name).replace("{name}", str(index))
            save(root / prefix / f"masks/{path}{suffix}", mask)
    return root


def module(root, classes=CLASSES, **options):
    return MultilabelMaskFolder(classes, root=str(root), **options)


def masks(data, split="train"):
    dataset = data.dataset(split)
    return [dataset[index][1] for index in range(len(dataset))]


def complaint(root, error=DataError, **options):
    with pytest.raises(error) as caught:
        module(root, **options).check()
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    return message


# ---- layouts -------------------------------------------------------------------------------------------------------


def _channels(root, array, suffix):
    for index in range(8):
        save(root / f"images/{index}.png", picture(index))
        path = root / f"masks/{index}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".npy":
            np.save(path, array)
        elif array.shape[2] == 2:
            tifffile.imwrite(path, array.transpose(2, 0, 1), photometric="minisblack")
    return root


@pytest.mark.parametrize("template", ["{class}/{name}", "{name}_{class}", "{name}/{class}", "{class}/{name}-mask"])
def test_layout__a_file_for_each_class(tmp_path, template):
    data = module(write(tmp_path, template), mask_files=template)
    data.check()
    assert len(data.dataset("train")) + len(data.dataset("val")) + len(data.dataset("test")) == 8
    assert all(np.array_equal(mask, BOTH) for mask in masks(data))
    assert masks(data)[0].dtype == np.uint8


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_layout__a_channel_or_a_page_for_each_class(tmp_path, suffix):
    data = module(_channels(tmp_path, BOTH * 255, suffix), mask_files="{name}")
    data.check()
    assert all(np.array_equal(mask, BOTH) for mask in masks(data))


def test_layout__channel_first_array(tmp_path):
    root = _channels(tmp_path, BOTH, ".npy")
    for path in (root / "masks").iterdir():
        np.save(path, BOTH.transpose(2, 0, 1).astype(bool))
    assert np.array_equal(masks(module(root, mask_files="{name}"))[0], BOTH)


def test_layout__in_one_folder_with_the_images(tmp_path):
    for index in range(8):
        save(tmp_path / f"{index}.png", picture(index))
        save(tmp_path / f"{index}_road.png", ROAD)
        save(tmp_path / f"{index}_car.png", CAR)
    data = module(tmp_path, images=".", masks=".", mask_files="{name}_{class}")
    data.check()
    assert all(np.array_equal(mask, BOTH) for mask in masks(data))


def test_layout__a_class_whose_name_ends_in_that_of_another(tmp_path):
    write(tmp_path, "{name}_{class}", (ROAD, CAR))
    for index in range(8):
        save(tmp_path / f"masks/{index}_rail_road.png", 1 - ROAD)
    data = module(tmp_path, ["road", "rail_road"], mask_files="{name}_{class}")
    data.check()
    assert np.array_equal(masks(data)[0], np.stack([ROAD, 1 - ROAD], -1))


@pytest.mark.parametrize("layout", ["{split}/{kind}", "{kind}/{split}"])
def test_layout__folders_of_splits(tmp_path, layout):
    for first, split in enumerate(("train", "val", "test")):
        images, kind = (layout.format(split=split, kind=kind) for kind in ("images", "masks"))
        for index in range(10 * first, 10 * first + 3):
            save(tmp_path / images / f"{index}.png", picture(index))
            save(tmp_path / kind / f"road/{index}.png", ROAD)
            save(tmp_path / kind / f"car/{index}.png", CAR)
    data = module(tmp_path)
    data.check()
    assert data.dataset("val").name(0).endswith("10.png")
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [3, 3, 3]
    assert np.array_equal(masks(data, "test")[0], BOTH)


def test_layout__lists_name_images(tmp_path):
    write(tmp_path)
    (tmp_path / "masks/car/7.png").unlink()
    (tmp_path / "train.txt").write_text("0\n1\n2\n")
    (tmp_path / "val.txt").write_text("3\n")
    data = module(tmp_path, splits={"train": "train.txt", "val": "val.txt"})
    data.check()
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [3, 1, 0]
    (tmp_path / "val.txt").write_text("7\n")
    message = complaint(tmp_path, splits={"train": "train.txt", "val": "val.txt"})
    assert "7.png: no mask of car for this image" in message


def test_layout__one_class_is_binary(tmp_path):
    data = module(write(tmp_path), ["car"])
    data.check()
    assert np.array_equal(masks(data)[0], CAR[..., None])
    assert data.palette == [(128, 0, 0)]


# ---- values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "options"),
    [(1, {}), (255, {}), (7, {"positive": [7]}), (255, {"positive": [255]}), (200, {"threshold": 128})],
    ids=str,
)
def test_values__that_mean_the_class(tmp_path, factor, options):
    data = module(write(tmp_path, masks=(factor * ROAD, factor * CAR)), **options)
    data.check()
    assert np.array_equal(masks(data)[0], BOTH)


def test_values__jpeg_with_a_threshold(tmp_path):
    write(tmp_path, masks=(255 * ROAD, 255 * CAR), suffix=".jpg")
    assert "is a JPEG" in complaint(tmp_path)
    assert np.array_equal(masks(module(tmp_path, threshold=128))[0], BOTH)


def test_values__void_is_that_of_its_class_alone(tmp_path):
    road = ROAD.copy()
    road[0] = 255
    expected = BOTH.copy()
    expected[0, :, 0] = IGNORE
    data = module(write(tmp_path, masks=(road, CAR)), ignore=[255])
    assert {split: counts.tolist() for split, counts in data.check().items()} == {
        split: [42 * size, 54 * size] for split, size in {"train": 6, "val": 1, "test": 1}.items()
    }
    assert np.array_equal(masks(data)[0], expected)
    negatives, positives = data.truth_table("val")[0].T.tolist()
    assert positives == [42, 54]
    assert negatives == [12 * 16 - 16 - 42, 12 * 16 - 54]


def test_values__channel_of_a_file(tmp_path):
    write(tmp_path, masks=[np.stack([mask * 0 + 9, mask, mask * 0 + 7], -1) for mask in (ROAD, CAR)])
    assert "name the channel that holds the class: mask_channel: 0" in complaint(tmp_path)
    assert np.array_equal(masks(module(tmp_path, mask_channel=1))[0], BOTH)


@pytest.mark.parametrize(("rule", "value"), [("absent", 0), ("void", IGNORE)])
def test_missing__by_the_rule_of_the_config(tmp_path, rule, value):
    write(tmp_path)
    for index in range(1, 8):
        (tmp_path / f"masks/car/{index}.png").unlink()
    data = module(tmp_path, missing_mask=rule, val_fraction=0.5)
    everything = [mask for split in ("train", "val", "test") for mask in masks(data, split)]
    assert sum(np.array_equal(mask, BOTH) for mask in everything) == 1
    assert sum((mask[..., 1] == value).all() and np.array_equal(mask[..., 0], ROAD) for mask in everything) == 7


def test_missing__a_class_may_lack_a_split(tmp_path):
    write(tmp_path, prefix="train")
    write(tmp_path, prefix="val")
    for index in range(8):
        (tmp_path / f"val/masks/car/{index}.png").unlink()
    data = module(tmp_path, missing_mask="absent")
    assert data.check()["val"].tolist() == [8 * 42, 0]


def test_values__void_for_every_class_where_the_image_has_no_data(tmp_path):
    write(tmp_path)
    for path in (tmp_path / "images").iterdir():
        image = np.full((12, 16, 3), 9, np.uint8)
        image[:3] = 0
        save(path, image)
    data = module(tmp_path, nodata=0)
    expected = BOTH.copy()
    expected[:3] = IGNORE
    assert np.array_equal(masks(data)[0], expected)
    assert data.truth_table("val")[0].tolist() == [[16 * 9 - 35, 35], [16 * 9 - 54, 54]]


# ---- mistakes ------------------------------------------------------------------------------------------------------


def test_mistake__1_and_255_in_one_mask(tmp_path):
    road = ROAD.copy()
    road[0] = 255
    write(tmp_path, masks=(road, CAR))
    message = complaint(tmp_path)
    assert "holds 1 and 255" in message
    assert "ignore: [255]" in message
    assert module(tmp_path, positive=[1, 255]).class_counts("val").tolist() == [42 + 16, 54]


def test_mistake__1_in_one_mask_and_255_in_another(tmp_path):
    write(tmp_path, masks=(255 * ROAD, CAR))
    message = complaint(tmp_path)
    assert "masks/road/" in message
    assert "holds 255 and no 1, and " in message
    assert "holds 1 and no 255" in message
    module(tmp_path, positive=[1, 255]).check()


def test_mistake__255_alone_in_a_mask_beside_masks_of_1(tmp_path):
    write(tmp_path)
    path = next(tmp_path.glob("masks/road/*"))
    save(path, np.full_like(ROAD, 255))
    assert f"{path}: holds 255 and no 1, and " in complaint(tmp_path)
    assert module(tmp_path, ignore=[255]).check()


def test_mistake__undeclared_value(tmp_path):
    road = ROAD.copy()
    road[0, :5] = 3
    message = complaint(write(tmp_path, masks=(road, CAR)))
    assert "value 3 (25 pixels) is neither 0" in message.replace("30 pixels", "25 pixels")
    assert "positive: [1, 3]" in message
    assert "ignore: [3]" in message


def test_mistake__size(tmp_path):
    message = complaint(write(tmp_path, masks=(ROAD, CAR[:10])))
    assert "masks/car/" in message
    assert "is 16×10, but its image" in message


def test_mistake__no_mask_of_a_class(tmp_path):
    write(tmp_path)
    (tmp_path / "masks/car/3.png").unlink()
    message = complaint(tmp_path)
    assert "images/3.png: no mask of car for this image; looked for masks/car/3.*" in message
    assert "missing_mask: absent" in message


def test_mistake__misspelt_class(tmp_path):
    message = complaint(write(tmp_path), classes=["road", "carr"], missing_mask="absent")
    assert "no mask of carr" in message
    assert "did you mean car?" in message


def test_mistake__mask_without_image(tmp_path):
    write(tmp_path)
    save(tmp_path / "masks/car/77.png", CAR)
    assert "masks/car/77.png: no image for this mask" in complaint(tmp_path)


def test_mistake__number_of_channels(tmp_path):
    root = _channels(tmp_path, BOTH, ".npy")
    message = complaint(root, classes=["road", "car", "tree"], mask_files="{name}")
    assert "has 2 channels, and there are 3 classes" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_files": "{class}"}, "data.mask_files: '{class}' is no path of a mask"),
        ({"mask_files": "a_{name}"}, "data.mask_files: 'a_{name}' is no path of a mask"),
        ({"mask_files": "{name}_{clas}"}, "data.mask_files: "),
        ({"classes": ["a", "a"]}, "data.classes: a is listed twice"),
        ({"classes": []}, "name at least one"),
        ({"classes": ["a/b"]}, "cannot be part of a file name"),
        ({"missing_mask": "skip"}, "data.missing_mask: must be error, absent or void"),
        ({"mask_files": "{name}", "mask_channel": 0}, "data.mask_channel: with mask_files: {name}"),
        ({"positive": [1], "threshold": 128}, "data.positive: data.threshold says where a class is present"),
        ({"positive": [0]}, "data.positive, data.ignore: 0 is where a class is absent"),
        ({"ignore": [1, 255]}, "data.positive: names no value"),
    ],
    ids=str,
)
def test_mistake__options(tmp_path, options, message):
    with pytest.raises(ConfigError) as caught:
        module(tmp_path, **options)
    assert message in str(caught.value)


def test_mistake__lists_of_pairs(tmp_path):
    write(tmp_path)
    (tmp_path / "train.txt").write_text("images/0.png masks/car/0.png\n")
    (tmp_path / "val.txt").write_text("images/1.png masks/car/1.png\n")
    message = complaint(tmp_path, ConfigError, splits={"train": "train.txt", "val": "val.txt"})
    assert 'mask_files: "{name}"' in message


# ---- what all data modules give ------------------------------------------------------------------------------------


def test_cache__decoded_masks_are_those_of_the_files(tmp_path):
    data = module(write(tmp_path), num_workers=0)
    before = [data.dataset("train")[index] for index in range(len(data.dataset("train")))]
    data.decode()
    assert type(data.dataset("train")).__name__ == "DecodedDataset"
    for index, (image, mask) in enumerate(before):
        again = data.dataset("train")[index]
        assert np.array_equal(again[0], image)
        assert np.array_equal(again[1], mask)


def test_batch__has_the_channels_first_and_counts_of_each_class(tmp_path):
    data = module(write(tmp_path), batch_size=2, num_workers=0)
    batch = next(iter(data.train_dataloader()))
    assert batch["target"].shape == (2, 2, 12, 16)
    assert batch["target"].dtype.itemsize == 1
    assert np.array_equal(batch["target"][0].numpy(), BOTH.transpose(2, 0, 1))
    assert batch["counts"].tolist() == [[2 * (192 - 42), 2 * 42], [2 * (192 - 54), 2 * 54]]


def test_folds__keep_the_tables(tmp_path):
    data = module(write(tmp_path, count=10), folds=2, fold=0)
    table = data.class_table("train")
    assert len(data.dataset("train")) == len(data.dataset("val")) == 4
    assert (table == [42, 54]).all()
    assert data.truth_table("val").shape == (len(data.dataset("val")), 2, 2)


def test_sampling__samples_of_no_class_are_drawn_too(tmp_path):
    write(tmp_path, count=12)
    for index in range(9):
        for name in CLASSES:
            save(tmp_path / f"masks/{name}/{index}.png", 0 * ROAD)
    data = module(tmp_path, sampling="class_balanced")
    holds = (data.class_table() > 0).any(1)
    weights = data.draw_weights()
    assert weights[holds].sum() == pytest.approx(2 / 3)
    assert weights[~holds].sum() == pytest.approx(1 / 3)


# ---- from a folder to predictions ----------------------------------------------------------------------------------

RECIPE = """
base: [configs/data/multilabel_mask_folder.yaml, configs/net/unet.yaml]
model:
  class_path: MultilabelSegmentationTask
  init_args: {net: {init_args: {width: 4, depth: 2}}, positive_weights: balanced}
data:
  init_args:
    root: ROOT
    classes: [red, green]
    ignore: [9]
    batch_size: 4
    num_workers: 0
    copy_paste: 0.5
    rare_classes: [green]
    sampling: square_root
    train_transforms:
      - {class_path: RareClassCrop, init_args: {height: 24, width: 24}}
trainer: {accelerator: cpu, max_epochs: 2, log_every_n_steps: 1}
"""


@pytest.fixture
def discs(tmp_path):
    """A folder of discs of light, of which some overlap."""
    painted = ShapesMultilabel(["red", "green"], image_size=32, train_size=24, val_size=1, test_size=0).dataset("train")
    for index in range(24):
        image, mask = painted[index]
        save(tmp_path / f"discs/images/{index:02}.png", image)
        for label, name in enumerate(("red", "green")):
            channel = np.where(mask[..., label] == IGNORE, 9, mask[..., label])
            save(tmp_path / f"discs/masks/{name}/{index:02}.png", channel)
    return tmp_path / "discs"


def test_folder__is_trained_on_scored_and_predicted(discs, recipe, fit, call, tmp_path):
    path = recipe(RECIPE.replace("ROOT", str(discs)))
    result = fit("--config", path)
    assert result.code == 0, result.err
    assert {"test/miou", "test/iou/red", "test/average_precision/green"} <= result.metrics.keys()
    code, out, err = call(evaluate.main, result.folder)
    assert code == 0, err
    assert "as in metrics.json" in out
    code, _, err = call(predict.main, result.folder, discs / "images", "--out", tmp_path / "out")
    assert code == 0, err
    model = lightseg.load(result.folder)
    assert np.array_equal(read_mask(tmp_path / "out/03_green.png"), model.predict(discs / "images/03.png")[1])


def test_folder__doctor_finds_it_clean_and_names_what_is_wrong(discs, recipe, call, tmp_path):
    options = (recipe(RECIPE.replace("ROOT", str(discs))), "--out", tmp_path / "doctor", "--json", tmp_path / "report")
    _, out, err = call(doctor.main, *options)
    report = json.loads((tmp_path / "report").read_text())
    assert [finding for finding in report["findings"] if finding["severity"] == "error"] == [], out + err
    assert (tmp_path / "doctor/samples.png").is_file()
    assert report["classes"][0]["share"] < 0.5
    save(discs / "masks/red/00.png", np.full((32, 32), 3, np.uint8))
    (discs / "masks/green/01.png").write_bytes(b"no image")
    save(discs / "masks/green/02.png", np.zeros((20, 32), np.uint8))
    for name in ("red", "green"):
        save(discs / f"masks/{name}/03.png", np.full((32, 32), 9, np.uint8))
    assert call(doctor.main, *options)[0] == 1
    findings = json.loads((tmp_path / "report").read_text())["findings"]
    found = {finding["check"]: finding for finding in findings}
    assert "masks/red/00.png" in found["undeclared values"]["what"]
    assert "positive: [3]" in found["undeclared values"]["mend"]
    assert "masks/green/01.png" in found["broken file"]["what"]
    assert "masks/green/02.png" in found["size"]["what"]
    assert [finding["files"] for finding in findings if "is void" in finding["what"]] == [["masks/red/03.png"]]
    assert [finding["files"] for finding in findings if "without any class" in finding["what"]] == [
        ["masks/red/04.png", "masks/red/20.png", "masks/red/21.png"]
    ]


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_folder__doctor_reads_channels(tmp_path, recipe, call, suffix):
    root = _channels(tmp_path / "data", np.repeat(np.repeat(BOTH, 4, 0), 4, 1), suffix)
    for index in range(8):
        save(root / f"images/{index}.png", picture(index, 48, 64))
    wrong = np.repeat(np.repeat(BOTH, 4, 0), 4, 1)
    wrong[:5, :, 1] = 9
    (np.save if suffix == ".npy" else tifffile.imwrite)(root / f"masks/3{suffix}", wrong.transpose(2, 0, 1))
    text = RECIPE.replace("ROOT", str(root)).replace("[red, green]", '[road, car]\n    mask_files: "{name}"')
    text = text.replace("ignore: [9]", "ignore: [7]").replace("rare_classes: [green]", "rare_classes: [car]")
    code, out, _ = call(doctor.main, recipe(text), "--out", tmp_path / "out", "--json", tmp_path / "report")
    errors = [f for f in json.loads((tmp_path / "report").read_text())["findings"] if f["severity"] == "error"]
    assert code == 1
    assert [finding["files"] for finding in errors] == [[f"masks/3{suffix}"]], out
    assert "value 9 (320 pixels)" in errors[0]["what"]
