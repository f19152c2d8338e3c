import albumentations as A
import numpy as np
import pytest

from lightseg.data import ImageDataModule, RareClassCrop, Shapes, ShapesClassification
from lightseg.data.sample_index import SampleIndex, mix
from lightseg.data.transforms.augmentation import Augmentation
from lightseg.data.types import SPLITS
from lightseg.errors import ConfigError
from lightseg.labels import IGNORE
from tests.data.in_memory import InMemoryDataset


def _picture(value, *spots):
    mask = np.zeros((8, 8), np.uint8)
    for row, column, label in spots:
        mask[row, column] = label
    return np.full((8, 8, 3), value, np.uint8), mask


class ThreePictures(ImageDataModule):
    """Data module of three pictures: class 1 occurs only in the second, class 2 in none."""

    classes = ("ground", "sign", "ghost")

    def make_dataset(self, split):
        assert split in SPLITS
        return InMemoryDataset(_picture(10), _picture(20, (3, 3, 1)), _picture(30, (0, 0, IGNORE)))


class OwnLabels(ImageDataModule):
    kind = "classification"
    classes = ("often", "seldom")

    def make_dataset(self, split):
        return InMemoryDataset(*[(np.full((4, 4, 3), 10, np.uint8), label) for label in (0, 0, 0, 0, 1)])


def _first_values(data):
    samples = data._training_samples()
    return [int(samples[index]["image"][0, 0, 0]) for index in range(len(samples))]


@pytest.mark.parametrize(("kind", "values"), [(ThreePictures, [10, 235, 30]), (OwnLabels, [10, 10, 10, 10, 245])])
def test_rare_transforms__touch_rare_samples_alone(kind, values):
    assert _first_values(kind(rare_transforms=[A.InvertImg(p=1)])) == values


def test_rare_transforms__come_before_train_transforms():
    data = ThreePictures(rare_transforms=[A.InvertImg(p=1)], train_transforms=[A.CenterCrop(2, 2), A.ToGray(p=1)])
    assert data._training_samples()[1]["image"].shape == (3, 2, 2)
    # the sign is gone from the crop, but it was there when it mattered
    wide = ThreePictures(rare_transforms=[A.InvertImg(p=1)], train_transforms=[A.Crop(6, 6, 8, 8)])
    sample = wide._training_samples()[1]
    assert not sample["target"].any()
    assert (sample["image"] == 235).all()


def test_rare_transforms__have_independent_random_numbers():
    data = ThreePictures(rare_transforms=[A.HorizontalFlip(p=0.5)], train_transforms=[A.HorizontalFlip(p=0.5)])
    samples = data._training_samples()
    # the sign is in column 3 of 8; with the same draws it would be mirrored twice or not at all
    mirrored = sum(bool(samples[SampleIndex(1, mix(seed))]["target"][3, 4]) for seed in range(200))
    assert 60 < mirrored < 140


def test_rare_transforms__do_not_change_random_numbers_of_train_transforms():
    def shapes(**options):
        data = Shapes(image_size=32, train_size=8, train_transforms=[A.D4(), A.GaussNoise()], **options)
        return [data._training_samples()[index]["image"].numpy().tobytes() for index in range(8)]

    assert shapes(rare_transforms=[A.HorizontalFlip(p=0)]) == shapes()


def test_rare_transforms__a_pasted_object_makes_a_sample_rare():
    data = ThreePictures(copy_paste=1.0, rare_transforms=[A.InvertImg(p=1)])
    assert _first_values(data) == [245, 235, 225]


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (A.Normalize(), "^Normalize is not needed"),
        (A.Resize(8, 8, mask_interpolation=1), "^rare_transforms: Resize would interpolate class ids"),
    ],
)
def test_rare_transforms__are_checked(transform, message):
    with pytest.raises(ConfigError, match=message):
        ThreePictures(rare_transforms=[transform])


def test_rare_transforms__padding_is_void():
    sample = ThreePictures(rare_transforms=[A.PadIfNeeded(10, 10, border_mode=0)])._training_samples()[1]
    assert (sample["target"] == IGNORE).sum() == 100 - 64


def test_crop__rare_classes_are_set():
    data = ThreePictures(train_transforms=[RareClassCrop(2, 2, 1.0)])
    assert (data._training_samples()[1]["target"] == 1).any()
    stronger = ThreePictures(rare_transforms=[RareClassCrop(2, 2, 1.0)])
    assert (stronger._training_samples()[1]["target"] == 1).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ThreePictures(copy_paste=1.2), "^data.copy_paste: must be 0 to 1, got 1.2$"),
        (
            lambda: OwnLabels(copy_paste=0.5),
            "^data.copy_paste: needs masks to cut objects out, and this data has",
        ),
        (
            lambda: ThreePictures(rare_classes=["sign"]),
            "^data.rare_classes: nothing uses them; add copy_paste, rare_transforms",
        ),
        (
            lambda: ThreePictures(batch_size=1, rare_classes=["sing"], copy_paste=0.5).check_training(),
            "^data.rare_classes: there is no class 'sing'; did you mean sign\\?$",
        ),
        (
            lambda: ThreePictures(batch_size=1, rare_classes=["ghost"], copy_paste=0.5).check_training(),
            r"^data.rare_classes: \['ghost'\] do not occur in the training data$",
        ),
        (
            lambda: ShapesClassification(train_size=50, rare_transforms=[A.HorizontalFlip()]).check_training(),
            "^data: rare_transforms finds no rare class: each has half of an equal share .* data.rare_classes$",
        ),
        (
            lambda: OwnLabels(batch_size=1, train_transforms=[RareClassCrop(2, 2, 1.0)]).check_training(),
            "^RareClassCrop: needs masks, and this data has class ids",
        ),
        (
            lambda: Shapes(
                image_size=32,
                train_size=8,
                batch_size=2,
                rare_classes=["star"],
                train_transforms=[RareClassCrop(32, 40)],
            ).check_training(),
            "^RareClassCrop: no image is larger than 32×40, so there is nothing to choose",
        ),
    ],
)
def test_options__errors(make, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_rare_classes__by_name():
    assert _first_values(ThreePictures(rare_transforms=[A.InvertImg(p=1)], rare_classes=["ground"])) == [245, 235, 225]


def test_augmentation__reads_no_targets_without_need():
    def class_table():
        raise AssertionError("was read")

    facts = (ThreePictures().dataset("train"), class_table, ThreePictures().classes)
    Augmentation("segmentation", [A.D4()]).configure_from_data(*facts)
    with pytest.raises(AssertionError, match="was read"):
        Augmentation("segmentation", [A.D4()], copy_paste=0.5).configure_from_data(*facts)


def _epoch(workers):
    data = Shapes(
        image_size=32,
        train_size=12,
        batch_size=4,
        num_workers=workers,
        copy_paste=0.7,
        rare_transforms=[A.GaussNoise(p=0.5)],
        train_transforms=[RareClassCrop(24, 24), A.D4()],
    )
    return [(batch["image"].numpy().tobytes(), batch["target"].numpy().tobytes()) for batch in data.train_dataloader()]


def test_augmentation__does_not_depend_on_workers():
    assert _epoch(0) == _epoch(2)


RECIPE = """
base: [configs/data/shapes.yaml, configs/net/unet.yaml]
model:
  init_args:
    net: {init_args: {width: 4, depth: 2}}
data:
  init_args:
    image_size: 32
    train_size: 12
    val_size: 5
    test_size: 5
    batch_size: 4
    num_workers: 0
    rare_classes: [star, ring]
    rare_transforms:
      - class_path: albumentations.InvertImg
        init_args: {p: 0.5}
    train_transforms:
      - class_path: lightseg.data.RareClassCrop
        init_args: {height: 24, width: 24, focus: 0.8}
      - class_path: albumentations.D4
trainer: {accelerator: cpu, max_epochs: 1, log_every_n_steps: 1}
"""


def test_fit__every_cure_at_once_is_in_the_run_folder_and_runs_again(fit, recipe):
    first = fit("--config", recipe(RECIPE), "--data.copy_paste", "0.5")
    assert first.code == 0, first.err
    again = fit("--config", first.folder / "config.yaml")
    assert again.code == 0, again.err
    assert again.metrics["val/loss"] == first.metrics["val/loss"]
    without = fit("--config", recipe(RECIPE))
    assert without.metrics["val/loss"] != first.metrics["val/loss"]


def test_fit__separate_generator_is_an_error_before_the_run(fit, recipe, own_module):
    own_module(
        "my_noise",
        "import albumentations as A\nimport numpy as np\n\n\n"
        "class MyNoise(A.ImageOnlyTransform):\n"
        "    def __init__(self):\n        super().__init__(p=1)\n        self.rng = np.random.default_rng()\n\n"
        "    def apply(self, img, **params):\n        return img + self.rng.integers(0, 9, img.shape, np.uint8)\n",
    )
    ran = fit("--config", recipe(), "--data.train_transforms", "[{class_path: my_noise.MyNoise}]")
    assert ran.code == 2
    assert "data.train_transforms: train-0 differs when augmented again" in ran.err


def test_fit__copy_paste_without_masks_is_a_line(fit):
    ran = fit("--config", "configs/data/shapes_classification.yaml", "--config", "configs/net/simple_cnn.yaml",
              "--data.copy_paste", "0.5")  # fmt: skip
    assert ran.code == 2
    assert "data.copy_paste: needs masks to cut objects out" in ran.err
