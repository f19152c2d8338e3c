import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from lightseg.data import MaskFolder
from lightseg.doctor import main
from tests.conftest import TINY, Outcome
from tests.data.fabricate import folder as write_pairs
from tests.data.fabricate import ids, save
from tests.diagnosis.fabricate import CLASSES, DEFECTS, read, shift, sound, write

DATA = ("--data.num_workers", "0")
FOLDER = ("configs/data/mask_folder.yaml", "--data.classes", CLASSES, *DATA)
SHAPES = (*DATA, "--data.train_size", "40", "--data.val_size", "20", "--data.test_size", "20")


@pytest.fixture
def doctor(capsys, tmp_path):
    """Function that runs the verb in this process, and returns its outcome and its findings."""

    def run(*args):
        report = tmp_path / "report.json"
        report.unlink(missing_ok=True)
        code = main([*map(str, args), "--json", str(report), "--out", str(tmp_path / "out")])
        outcome = Outcome(code, *capsys.readouterr())
        findings = json.loads(report.read_text())["findings"] if report.exists() else []
        return outcome, findings

    return run


def serious(findings):
    """Return the errors and warnings."""
    return [finding for finding in findings if finding["severity"] != "note"]


def test_doctor__finds_each_of_ten_planted_defects_and_nothing_else(doctor, tmp_path):
    root = sound(tmp_path / "data")
    planted = {(check, str(plant(root).relative_to(root))) for check, plant in DEFECTS.items()}
    outcome, findings = doctor(*FOLDER, "--data.root", root)
    assert outcome.code == 1
    assert len(serious(findings)) == len(planted) == 10
    assert {(finding["check"], finding["files"][-1]) for finding in serious(findings)} == planted
    assert all(file in outcome.out for _, file in planted)
    assert all(finding["mend"] in outcome.out.replace("\n   ", "\n") for finding in findings)
    assert "not clean: 6 errors, 4 warnings" in outcome.out


@pytest.mark.slow
def test_doctor__each_planted_defect_alone_is_one_finding(doctor, tmp_path):
    for number, (check, plant) in enumerate(DEFECTS.items()):
        root = sound(tmp_path / f"data{number}", {"train": 14, "val": 4})
        file = str(plant(root).relative_to(root))
        outcome, findings = doctor(*FOLDER, "--data.root", root)
        assert outcome.code == 1
        assert [(finding["check"], finding["files"][-1]) for finding in serious(findings)] == [(check, file)]


def test_doctor__sound_folder_is_clean_and_gets_a_sheet(doctor, tmp_path):
    outcome, findings = doctor(*FOLDER, "--data.root", sound(tmp_path / "data"))
    assert outcome.code == 0
    assert serious(findings) == []
    with Image.open(tmp_path / "out" / "samples.png") as sheet:
        assert sheet.width > 500
    assert outcome.err == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--trainer.accelerator", "gpu"), "trainer.accelerator: gpu is not available"),
        (("--trainer.precision", "16"), "trainer.precision: 16-mixed needs a GPU"),
    ],
    ids=["accelerator", "precision"],
)
def test_doctor__a_device_that_is_missing_is_a_finding_beside_those_of_the_data(doctor, option, message):
    outcome, findings = doctor("configs/data/shapes.yaml", *SHAPES, *option)
    assert outcome.code == 1
    (error,) = [finding for finding in findings if finding["severity"] == "error"]
    assert (error["check"], error["what"].startswith(message)) == ("machine", True)
    assert error["mend"].startswith("set ")


def test_doctor__a_precision_that_does_not_exist_is_bad_input(doctor):
    outcome, findings = doctor("configs/data/shapes.yaml", *SHAPES, "--trainer.precision", "bf17")
    assert (outcome.code, findings) == (2, [])
    assert "trainer.precision: must be one of auto, 32-true" in outcome.err


def test_doctor__suggests_the_label_map(doctor, tmp_path):
    root = sound(tmp_path / "data", {"train": 12, "val": 4})
    for path in root.rglob("masks/*.png"):
        write(path, np.where(read(path) > 0, 255, 0).astype(np.uint8))
    outcome, findings = doctor("configs/data/mask_folder.yaml", *DATA, "--data.root", root)
    assert outcome.code == 1
    (error,) = [finding for finding in findings if finding["severity"] == "error"]
    assert "values: {0: background, 255: object}" in error["mend"]


def test_doctor__undeclared_values_of_several_files_make_one_line(doctor, tmp_path):
    root = sound(tmp_path / "data", {"train": 12, "val": 4})
    for name, value in (("03", 17), ("04", 23)):
        mask = read(root / f"train/masks/{name}.png")
        mask[:20, :20] = value
        write(root / f"train/masks/{name}.png", mask)
    _, findings = doctor(*FOLDER, "--data.root", root)
    (finding,) = serious(findings)
    assert "17: CLASS, 23: CLASS" in finding["mend"]
    assert finding["files"] == ["train/masks/03.png", "train/masks/04.png"]


def test_doctor__resized_two_class_mask_is_interpolated_not_undeclared(doctor, tmp_path):
    root = sound(tmp_path / "data", {"train": 12, "val": 4})
    for path in root.rglob("masks/*.png"):
        write(path, np.where(read(path) > 0, 255, 0).astype(np.uint8))
    path = root / "train/masks/02.png"
    small = Image.fromarray(read(path)).resize((48, 48), Image.Resampling.NEAREST)
    write(path, np.array(small.resize((96, 96), Image.Resampling.BILINEAR)))
    values = ("--data.values", "{0: background, 255: object}")
    _, findings = doctor("configs/data/mask_folder.yaml", *DATA, *values, "--data.root", root)
    (finding,) = serious(findings)
    assert (finding["check"], finding["severity"]) == ("interpolated mask", "error")
    assert finding["files"] == ["train/masks/02.png"]


def test_doctor__all_masks_of_a_split_shifted_is_one_finding(doctor, tmp_path):
    root = sound(tmp_path / "data", {"train": 12, "val": 10})
    for number in range(10):
        shift(root, "val", number, 5)
    _, findings = doctor(*FOLDER, "--data.root", root)
    (finding,) = serious(findings)
    assert finding["check"] == "shifted"
    assert "the masks of val as a whole" in finding["what"]
    assert "5 pixels further to the left" in finding["what"]


def test_doctor__clean_shapes(doctor):
    outcome, findings = doctor("configs/data/shapes.yaml", *SHAPES)
    assert (outcome.code, serious(findings)) == (0, [])
    assert "clean" in outcome.out.splitlines()[-2]


def test_doctor__clean_shapes_of_classification_in_processes(doctor):
    sizes = ("--data.train_size", "80", "--data.val_size", "40", "--data.test_size", "0")
    outcome, findings = doctor("configs/data/shapes_classification.yaml", *sizes, "--data.num_workers", "2")
    assert (outcome.code, findings) == (0, [])


def street(root):
    """Write frames of four drives in CamVid's layout and naming; val continues a drive of train."""
    drives = {"train": ("0001TP", "0006R0", "0016E5"), "val": ("0016E5",), "test": ("0001TP", "Seq05VD")}
    for split, names in drives.items():
        for drive in names:
            image, mask = scene(drive)
            for frame in range(6):
                number = frame * 30 + {"train": 0, "val": 400, "test": 800}[split]
                moved = np.roll(image, 3 * frame, axis=1)
                write(root / split / f"{drive}_{number:06}.png", moved)
                write(root / f"{split}annot" / f"{drive}_{number:06}.png", np.roll(mask, 3 * frame, axis=1))
    return root


def scene(drive):
    from lightseg.data import Shapes

    seed = sum(map(ord, drive))
    return Shapes(void_border=0, data_seed=seed, train_size=1).dataset("train")[0]


def test_doctor__val_is_one_sequence_of_train(doctor, tmp_path):
    root = street(tmp_path / "camvid")
    batch = ("--data.batch_size", "2")
    outcome, findings = doctor("configs/data/camvid.yaml", *DATA, *batch, "--data.root", root)
    assert outcome.code == 1
    straddling = [finding for finding in findings if finding["check"] == "straddling sequences"]
    assert "val is one sequence, 0016E5 (6 images), which also occurs in train (6 images)" in straddling[0]["what"]
    assert straddling[0]["severity"] == "warning"
    assert "0001TP (6 and 6 images)" in straddling[1]["what"]


def test_doctor__sequences_by_names_get_the_group_line(doctor, tmp_path):
    source, root = street(tmp_path / "camvid"), tmp_path / "data"
    for split in ("train", "val", "test"):
        for kind, folder in (("images", split), ("masks", f"{split}annot")):
            (root / split).mkdir(parents=True, exist_ok=True)
            (source / folder).rename(root / split / kind)
    _, findings = doctor(*FOLDER, "--data.batch_size", "2", "--data.root", root)
    first, _ = [finding for finding in findings if finding["check"] == "straddling sequences"]
    assert "val is one sequence, 0016E5" in first["what"]
    assert "group: '([^/]+)[_-][A-Za-z]*[0-9]+[^/0-9]*$'" in first["mend"]
    assert first["severity"] == "warning"


def test_doctor__tries_the_net_on_a_sample(doctor, recipe):
    outcome, _ = doctor(recipe(TINY))
    assert outcome.code == 0
    assert re.search(r"net: UNet, 0\.0\d M parameters, takes a sample of 3×32×32\n", outcome.out)
    assert "GiB" not in outcome.out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--model.net.width", "0"), "width"),
        (("--model.net", "SimpleCNN", "--model.net.image_size", "32"), "SimpleCNN"),
        (("--model.optimizer.lr", "-1"), "Invalid learning rate: -1"),
    ],
)
def test_doctor__a_net_that_cannot_train_is_an_error(doctor, recipe, options, reason):
    outcome, findings = doctor(recipe(TINY), *options)
    assert outcome.code == 1
    (error,) = serious(findings)
    assert error["check"] == "net"
    assert reason in error["what"]


def test_doctor__a_recipe_without_a_net_says_what_was_not_tried(doctor):
    outcome, _ = doctor("configs/data/shapes.yaml", *SHAPES)
    assert "net: none in the recipe, so that only the data was checked" in outcome.out


def test_doctor__a_class_that_a_random_split_misses_gets_a_seed_that_works(doctor, tmp_path):
    root = write_pairs(tmp_path / "data", 20)
    for index in range(4):
        save(root / "masks" / f"{index}.png", ids(index, values=(0, 1, 2)))
    options = ("configs/data/mask_folder.yaml", "--data.root", root, "--data.classes", "[a, b, c]", *DATA)
    seeds = {str(seed): doctor(*options, "--data.split_seed", seed)[1] for seed in range(6)}
    missing = {
        seed: [finding for finding in findings if finding["check"] == "missing class"]
        for seed, findings in seeds.items()
    }
    assert any(missing.values())
    for finding in (finding for findings in missing.values() for finding in findings):
        assert finding["what"] in ("c does not occur in val", "c does not occur in test", "c does not occur in train")
        if "train" not in finding["what"]:
            seed = finding["mend"].rpartition("--data.split_seed ")[2]
            assert not [found for found in doctor(*options, "--data.split_seed", seed)[1] if "occur" in found["what"]]


def test_doctor__a_class_of_fewer_images_than_splits(doctor, tmp_path):
    root = write_pairs(tmp_path / "data", 20)
    train = MaskFolder(list("abc"), root=str(root)).dataset("train")
    save(root / train.mask_name(0), ids(0, values=(0, 1, 2)))
    _, findings = doctor("configs/data/mask_folder.yaml", "--data.root", root, "--data.classes", "[a, b, c]", *DATA)
    mends = [finding["mend"] for finding in findings if finding["check"] == "missing class"]
    assert len(mends) == 2
    assert all("1 image cannot be in every split; or cross-validate by `--folds 5`" in mend for mend in mends)


def test_doctor__estimate_of_a_recipe_without_a_net(doctor):
    outcome, _ = doctor("configs/data/shapes.yaml", *SHAPES, "--estimate")
    assert outcome.code == 2
    assert "--estimate: the recipe has no net" in outcome.err


def test_doctor__estimate(doctor, recipe):
    outcome, _ = doctor("--estimate", "--config", recipe())
    assert "parameters" in outcome.out
    assert "6 steps take about" in outcome.out  # 12 samples in batches of 4, two epochs
    assert "GiB" in outcome.out


def test_doctor__net_that_does_not_fit_is_a_finding(doctor, recipe):
    options = ("--model.loss", "ce", "--trainer.accumulate_grad_batches", "3", "--estimate")
    outcome, findings = doctor(recipe(TINY), *options)
    assert outcome.code == 1
    assert "cannot be shared by 3" in serious(findings)[0]["what"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("no_such.yaml",), "no_such.yaml: no such file"),
        (("configs/data/camvid.yaml", "--data.root", "nowhere"), "nowhere: train, trainannot not found"),
        (("configs/data/camvid.yaml", "--data.rot", "x"), "did you mean"),
        (("--data.root", "x"), "no recipe"),
        (("..",), "..: is a folder, and the doctor checks a recipe; write one first: python -m lightseg.init .., "),
        (("--data.root", "x", "no_such.yaml"), "no_such.yaml: no such file"),
    ],
)
def test_doctor__bad_input(doctor, args, message):
    outcome, _ = doctor(*args)
    assert outcome.code == 2
    assert message in outcome.err


OWN = """
import numpy as np
from lightseg.data import ImageDataModule, ImageDataset


class Odd(ImageDataset):
    def __init__(self, split):
        self.split = split

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if self.split == "val" and index == 2:
            raise KeyError("lost")
        image = np.random.default_rng((index, len(self.split))).integers(0, 256, (40, 40, 3), np.uint8)
        mask = (image[..., 0] > 127).astype(np.uint8)
        mask[0, 0] = 7 if self.split == "train" and index == 3 else 0
        return image, mask

    def name(self, index):
        return f"{self.split}/{index}"

    def fingerprint(self):
        return self.split


class Own(ImageDataModule):
    @property
    def classes(self):
        return ["dark", "light"]

    def make_dataset(self, split):
        return Odd(split)
"""


def test_doctor__data_of_ones_own(doctor, own_module, recipe):
    own_module("odd_data", OWN)
    outcome, findings = doctor(recipe("data: {class_path: odd_data.Own, init_args: {batch_size: 2, num_workers: 0}}"))
    assert outcome.code == 1
    errors = {finding["files"][0]: finding["what"] for finding in findings if finding["severity"] == "error"}
    assert "holds the class id 7, but there are 2 classes" in errors["train/3"]
    assert "KeyError: 'lost'" in errors["val/2"]


def test_doctor__of_masks_that_may_mean_anything_says_that_alone(doctor, tmp_path):
    root = sound(tmp_path / "data", {"train": 12, "val": 4})
    for path in root.rglob("masks/*.png"):
        write(path, np.where(read(path) > 0, 255, 0).astype(np.uint8))
    _, findings = doctor("configs/data/mask_folder.yaml", *DATA, "--data.root", root)
    assert [finding["check"] for finding in findings] == ["undeclared values"]


def test_doctor__all_masks_shifted_is_one_finding_whatever_the_splits(doctor, tmp_path):
    root = sound(tmp_path / "data", {"train": 12, "val": 4})
    for split, number in (*(("train", n) for n in range(12)), *(("val", n) for n in range(4))):
        shift(root, split, number, 6)
    _, findings = doctor(*FOLDER, "--data.root", root)
    (finding,) = serious(findings)
    assert "all masks fit their images best 6 pixels further to the left" in finding["what"]
    assert len(finding["files"]) == 16


def test_doctor__resized_colour_mask_is_interpolated_not_undeclared(doctor, tmp_path):
    root = sound(tmp_path / "data", {"train": 12, "val": 4})
    palette = np.array([[0, 0, 0], [0, 0, 3]], np.uint8)
    for path in root.rglob("masks/*.png"):
        write(path, palette[np.minimum(read(path), 1)])
    path = root / "train/masks/02.png"
    small = read(path)[::2, ::2]
    write(path, np.array(Image.fromarray(small).resize((96, 96), Image.Resampling.BILINEAR)))
    assert set(np.unique(read(path)[..., 2])) == {0, 1, 2, 3}  # few enough to be taken for forgotten classes
    colors = ("--data.colors", "{background: [0, 0, 0], object: [0, 0, 3]}")
    _, findings = doctor("configs/data/mask_folder.yaml", *DATA, *colors, "--data.root", root)
    (finding,) = serious(findings)
    assert (finding["check"], finding["files"]) == ("interpolated mask", ["train/masks/02.png"])


@pytest.mark.parametrize(
    ("transform", "what"),
    [
        ("{class_path: albumentations.RandomCrop, init_args: {height: 500, width: 500}}", "CropSizeError"),
        ("{class_path: albumentations.HorizontalFlip}", "different sizes"),
    ],
)
def test_doctor__transforms_that_no_training_survives_are_a_finding(doctor, tmp_path, transform, what):
    root = sound(tmp_path / "data", {"train": 12, "val": 4})
    for kind in ("images", "masks"):
        path = root / "train" / kind / "05.png"
        write(path, read(path)[:80])
    outcome, findings = doctor(*FOLDER, "--data.root", root, "--data.train_transforms", f"[{transform}]")
    (finding,) = serious(findings)
    assert (outcome.code, finding["check"], finding["severity"]) == (1, "training", "error")
    assert what in finding["what"]
    assert "data.train_transforms" in finding["mend"]


def test_doctor__folds_keep_the_sequences_of_train_and_val_together(doctor, tmp_path):
    root = street(tmp_path / "camvid")
    options = ("--data.batch_size", "2", "--data.folds", "3", "--data.fold", "0")
    _, findings = doctor("configs/data/camvid.yaml", *DATA, *options, "--data.root", root)
    (finding,) = [finding for finding in findings if finding["check"] == "straddling sequences"]
    assert "in train and in test" in finding["what"]


def test_doctor__out_that_cannot_be_a_folder_is_refused_before_any_work(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["configs/data/shapes.yaml", *SHAPES, "--out", str(tmp_path / "file" / "deeper")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "file is a file; give a folder" in err


def test_doctor__mask_of_another_size_is_reported_even_if_interpolated(doctor, tmp_path):
    root = sound(tmp_path / "data", {"train": 12, "val": 4})
    path = root / "train/masks/02.png"
    ids = Image.fromarray((read(path) * 40).astype(np.uint8))
    write(path, np.array(ids.resize((64, 64), Image.Resampling.BILINEAR)))
    _, findings = doctor(*FOLDER, "--data.root", root)
    errors = {finding["check"]: finding for finding in serious(findings)}
    assert errors.keys() == {"size", "interpolated mask"}
    assert "is 64×64, but its image train/images/02.png is 96×96" in errors["size"]["what"]


def test_doctor__crop_larger_than_the_images_is_a_note(doctor, tmp_path):
    root = sound(tmp_path / "data", {"train": 12, "val": 4})
    crop = "{class_path: albumentations.PadIfNeeded, init_args: {min_height: 256, min_width: 256}}"
    outcome, findings = doctor(*FOLDER, "--data.root", root, "--data.train_transforms", f"[{crop}]")
    (finding,) = [finding for finding in findings if finding["check"] == "padding"]
    assert (outcome.code, finding["severity"]) == (0, "note")
    assert finding["mend"] == "in data.train_transforms, set height and width to 96"
