"""Checks of the first samples: absent classes, ids that transforms introduce, value range."""

import json
import re

import albumentations as A
import numpy as np
import pytest
import yaml
from PIL import Image

from lightseg.compare import main as compare
from lightseg.data.datasets.mask_dataset import MaskDataset
from lightseg.diagnosis.first_samples import first_samples, remarks
from lightseg.doctor import main as doctor
from lightseg.metrics.absent_classes import RULE
from tests.data.datasets.mask_folder_case import COUNT, Case, sample

VOID_IDS = {"ignore": [255]}


@pytest.fixture
def case(tmp_path, fit):
    return Case(tmp_path, fit)


def layout(case, void=None, masks=None):
    """Folders of two splits; the masks of one are void, or what `masks` makes of them."""
    for index in range(COUNT):
        split = "train" if index < COUNT // 2 else "val"
        image, mask = sample(index)
        mask = np.full_like(mask, 255) if split == void else mask if masks is None else masks(split, mask)
        case.save(f"{split}/images/{index:02d}.png", Image.fromarray(image))
        case.save(f"{split}/masks/{index:02d}.png", Image.fromarray(mask))
    for name in ("images", "masks"):
        for file in (case.root / name).iterdir():
            file.unlink()
        (case.root / name).rmdir()


@pytest.mark.parametrize("split", ["train", "val"])
def test_all_void__stops_before_training(case, split):
    layout(case, void=split)
    message = case.refused(**VOID_IDS)
    assert f"{split} has no valid pixel" in message
    assert "data.ignore" in message


def test_absent_class__is_named_before_training_and_marked_afterwards(case, call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    # the second class is in train alone, the third nowhere
    layout(case, masks=lambda split, mask: mask * (split == "train"))
    outcome = case.fit(classes=["background", "object", "ghost"])
    assert outcome.code == 0, outcome
    assert "warning: no pixel of train is ghost: it cannot be learned\n" in outcome.err
    assert "warning: no pixel of val is object or ghost: val does not tell how well it is found; python" in outcome.err
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in outcome.out.splitlines() if "│" in line}
    # predicted or not, no number stands there
    assert {rows["iou/object"], rows["iou/ghost"]} <= {"absent", "absent, but predicted"}
    assert rows["iou/background"] not in ("absent", "absent, but predicted")
    assert " ".join(RULE.split()[:6]) in " ".join(outcome.out.split())

    folder = outcome.folder
    code, out, err = call(compare, str(folder), "--json", str(folder / "c.json"))
    assert code == 0, err
    assert json.loads((folder / "c.json").read_text())["absent"] == ["object", "ghost"]
    sentence = out[out.index("Absent from the truth:") :]
    assert re.match(r"Absent from the truth: object, .*predicted.*; ghost, .*predicted", " ".join(sentence.split()))


def transforms(case, *chosen):
    recipe = case.recipe(classes=[f"c{number}" for number in range(6)])
    content = yaml.safe_load(recipe.read_text())
    content["data"]["init_args"]["train_transforms"] = list(chosen)
    recipe.write_text(yaml.safe_dump(content))
    return case._fit("--config", recipe)


def fives(case):
    case.masks(".png", lambda path, mask, _: Image.fromarray(mask * 5).save(path))


def test_area_downscale__is_refused(case):
    fives(case)
    average = {"max_size": 30, "area_for_downscale": "image_mask"}
    outcome = transforms(case, {"class_path": "albumentations.LongestMaxSize", "init_args": average})
    assert outcome.code == 2
    assert "train_transforms: LongestMaxSize would average class ids; set area_for_downscale: image" in outcome.err


class Darker(A.DualTransform):
    """Custom transform that changes a mask like an image."""

    def apply(self, img, **_):
        return img

    def apply_to_mask(self, mask, **_):
        return np.minimum(mask, 3)


def test_ids__that_a_transform_invents_are_seen(case):
    fives(case)
    outcome = transforms(case, {"class_path": f"{__name__}.Darker", "init_args": {"p": 1.0}})
    assert outcome.code == 2
    assert "has class 3 after them, and 0, 5 in its file" in outcome.err
    assert not list((case.root.parent / "runs").glob("*/*"))


class Blurred(A.DualTransform):
    """Custom transform without a function for masks, so that it changes them like images."""

    def apply(self, img, **_):
        return np.minimum(img, np.roll(img, 1, axis=0))


class Cleared(A.DualTransform):
    """Custom transform that makes a class void on purpose."""

    def apply(self, img, **_):
        return img

    def apply_to_mask(self, mask, **_):
        return np.where(mask == 5, 255, mask).astype(np.uint8)


MORPHOLOGICAL = {"class_path": "albumentations.Morphological", "init_args": {"scale": 5, "p": 0.001}}


@pytest.mark.parametrize("chosen", [MORPHOLOGICAL, {"class_path": f"{__name__}.Blurred", "init_args": {"p": 0.001}}])
@pytest.mark.parametrize("values", [(0, 1), (0, 5)])
def test_ids__that_a_transform_compares_are_refused_whatever_its_probability(case, chosen, values, call):
    case.masks(".png", lambda path, mask, _: Image.fromarray(mask * values[1]).save(path))
    outcome = transforms(case, {"class_path": "albumentations.OneOf", "init_args": {"transforms": [chosen]}})
    assert outcome.code == 2
    name = chosen["class_path"].rpartition(".")[2]
    assert f"data.train_transforms: {name} computes with class ids" in outcome.err.splitlines()[-1]
    _, out, _ = call(doctor, case.root.parent / "case.yaml", "--out", case.root / "out")
    assert f"{name} computes with class ids" in " ".join(out.split())


def test_ids__that_transforms_copy_fill_or_change_on_purpose(case):
    fives(case)
    chosen = [
        {"class_path": "albumentations.Affine", "init_args": {"rotate": [-30, 30], "p": 1.0}},
        {"class_path": "albumentations.ElasticTransform", "init_args": {"p": 1.0}},
        {"class_path": "albumentations.CoarseDropout", "init_args": {"fill_mask": 5, "p": 1.0}},
        {"class_path": "albumentations.PixelDropout", "init_args": {"mask_drop_value": 0, "p": 1.0}},
        {"class_path": "albumentations.CropNonEmptyMaskIfExists", "init_args": {"height": 24, "width": 24}},
        {"class_path": f"{__name__}.Cleared", "init_args": {"p": 1.0}},
    ]
    outcome = transforms(case, *chosen)
    assert outcome.code == 0, outcome.err


def twelve_bits(case):
    def write(path, image, _):
        Image.fromarray(image[..., 0].astype(np.uint16) * 16).save(path)

    case.images(".png", write)


def test_bit12__is_told_with_the_range_that_mends_it(case):
    twelve_bits(case)
    outcome = case.fit(channels=1)
    assert outcome.code == 0, outcome
    assert "no pixel of 6 training images is above 0.0" in outcome.err
    assert "data.value_range" in outcome.err
    assert "no pixel" not in case.fit(channels=1, value_range=[0, 4095]).err


def test_normalisation__that_makes_all_images_alike_is_told(case):
    twelve_bits(case)
    recipe = case.recipe(channels=1)
    content = yaml.safe_load(recipe.read_text())
    content["model"]["init_args"] |= {"mean": [0.5], "std": [0.25]}
    recipe.write_text(yaml.safe_dump(content))
    outcome = case._fit("--config", recipe)
    assert "look nearly alike to the net; add to model.init_args:  mean: [0.0" in outcome.err
    # what is measured fits
    assert "nearly alike" not in case.fit(channels=1).err


@pytest.mark.parametrize("arguments", [(), ("--trainer.max_epochs", 2), ("--data.folds", 2, "--data.fold", 0)])
def test_exif__on_one_side_is_told_of_whatever_the_samples_come_through(case, arguments):
    exif = Image.Exif()
    exif[0x0112] = 3
    case.images(".jpg", lambda path, image, _: Image.fromarray(image).save(path, exif=exif, quality=95))
    # of two epochs, they come from the cache of decoded images
    outcome = case._fit("--config", case.recipe(), "--data.batch_size", 2, *arguments)
    assert outcome.code == 0, outcome
    assert "EXIF turns the image and not its mask" in outcome.err


def test_doctor__compares_with_what_the_net_is_given(case, call):
    twelve_bits(case)
    recipe = case.recipe(channels=1)
    _, out, err = call(doctor, recipe, "--out", case.root / "out")
    assert "they are normalised by" not in out, err
    content = yaml.safe_load(recipe.read_text())
    content["model"]["init_args"] |= {"mean": [0.5], "std": [0.25]}
    recipe.write_text(yaml.safe_dump(content))
    _, out, _ = call(doctor, recipe, "--out", case.root / "out")
    assert "far from the [0.5] and [0.25] they are normalised by" in " ".join(out.split())


@pytest.mark.parametrize(("deviations", "is_told"), [(2.9, False), (3.1, True)])
def test_mean__that_is_off_is_told_by_fit_and_doctor_alike(case, call, deviations, is_told):
    dataset = case.data().dataset("train")
    pixels = np.concatenate([dataset[index][0].reshape(-1, 3) for index in range(len(dataset))]) / 255
    recipe = case.recipe()
    content = yaml.safe_load(recipe.read_text())
    std = pixels.std(0) / 2
    content["model"]["init_args"] |= {"mean": (pixels.mean(0) + deviations * std).tolist(), "std": std.tolist()}
    recipe.write_text(yaml.safe_dump(content))
    _, out, _ = call(doctor, recipe, "--out", case.root / "out")
    assert ("they are normalised by" in out) == is_told
    assert ("look nearly alike" in case._fit("--config", recipe).err) == is_told


def test_first_samples__are_read_once(case, monkeypatch):
    data, files = case.data(batch_size=4), []
    read = MaskDataset.image_and_missing
    monkeypatch.setattr(MaskDataset, "image_and_missing", lambda self, index: files.append(index) or read(self, index))
    samples = first_samples(data)
    assert list(remarks(data, samples, [0.5] * 3, [0.25] * 3)) == []
    assert files == [sample.position for sample in samples] == list(range(len(data.dataset("train"))))


def test_doctor__sees_ids_that_a_transform_invents(case, call):
    fives(case)
    recipe = case.recipe(classes=[f"c{number}" for number in range(6)])
    content = yaml.safe_load(recipe.read_text())
    content["data"]["init_args"]["train_transforms"] = [{"class_path": f"{__name__}.Darker", "init_args": {"p": 1.0}}]
    recipe.write_text(yaml.safe_dump(content))
    code, out, _ = call(doctor, recipe, "--out", case.root / "out")
    assert code == 1
    assert "has class 3 after them, and 0, 5 in its file" in " ".join(out.split())
