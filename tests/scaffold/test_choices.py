from dataclasses import replace

import numpy as np
import pytest

from lightseg.data import ImageFolder, ImageTable, MaskFolder
from lightseg.scaffold.choices import choose
from lightseg.scaffold.settings import Machine
from lightseg.scaffold.survey import Survey

CPU, GPU = Machine(False, 16 * 2**30), Machine(True, 24 * 2**30)


def survey(module=MaskFolder, side=(480, 640), counts=(900, 100), image_counts=(100, 100), train=100, **changes):
    classes = [f"class_{index}" for index in range(len(counts))]
    facts = Survey(
        *(module, {"root": "x"}, {}, "", [], classes, {"train": train, "val": 20, "test": 20}),
        *(np.array(counts), np.array(image_counts), np.array([side, side]), 3, True),
    )
    return replace(facts, **changes)


def settings(choices):
    """The value of each active option."""
    return {item.key: item.value for part in choices[1:] for item in part if item.is_active}


def reasons(choices):
    return {item.key: item.reason for part in choices[1:] for item in part}


@pytest.mark.parametrize(
    ("machine", "crop", "encoder", "batch"), [(CPU, 256, "resnet18", 8), (GPU, (480, 512), "resnet34", 16)]
)
def test_choose__photos_get_an_encoder_that_fits_the_machine(machine, crop, encoder, batch):
    choices = choose(survey(), machine)
    options = settings(choices)
    assert choices.base == ["configs/data/mask_folder.yaml", "configs/net/smp.yaml"]
    assert options["net"] == {"init_args": {"encoder": encoder}}
    height, width = crop if isinstance(crop, tuple) else (crop, crop)
    assert options["train_transforms"][1]["init_args"] == {"height": height, "width": width, "pad_if_needed": True}
    assert options["batch_size"] == batch
    assert f"limited by the usual size, on {machine}" in reasons(choices)["batch_size"]


def test_choose__a_crop_that_is_half_the_image_is_scaled_down_no_further():
    scale = settings(choose(survey(), CPU))["train_transforms"][0]["init_args"]["scale_limit"]
    # 256 of 480 rows
    assert scale == [round(256 / 480 - 1, 2), 1.0]


@pytest.mark.parametrize(("side", "depth"), [((20, 40), 1), ((40, 40), 2), ((64, 100), 3), ((100, 100), 3)])
def test_choose__the_depth_follows_the_crop(side, depth):
    choices = choose(survey(side=side), CPU)
    assert choices.base[1] == "configs/net/unet.yaml"
    assert settings(choices)["net"] == {"init_args": {"width": 16, "depth": depth}}
    assert "since the images are small" in reasons(choices)["net"]


def test_choose__measurements_get_a_plain_net_and_keep_their_values():
    choices = choose(survey(is_photo=False, channels=5), GPU)
    assert settings(choices)["net"] == {"init_args": {"width": 32, "depth": 4}}
    names = [item["class_path"].rpartition(".")[2] for item in settings(choices)["train_transforms"]]
    assert names == ["RandomScale", "RandomCrop", "HorizontalFlip"]


@pytest.mark.parametrize(
    ("train", "memory", "batch", "reason"),
    [(13, 16, 2, "the number of images"), (1, 16, 1, "the number of images"), (100, 0.5, 2, "memory")],
)
def test_choose__batch_size(train, memory, batch, reason):
    choices = choose(survey(train=train), Machine(False, int(memory * 2**30)))
    assert settings(choices)["batch_size"] == batch
    assert f"limited by {reason}" in reasons(choices)["batch_size"]


def test_choose__rare_classes_of_masks():
    options = settings(choose(survey(counts=(800, 190, 10), image_counts=(100, 90, 5)), CPU))
    assert (options["loss"], options["class_weights"]) == ({"ce": 1.0, "dice": 1.0}, "sqrt_inverse")
    assert options["sampling"] == "repeat_factor"
    even = settings(choose(survey(counts=(400, 300, 300), image_counts=(100, 90, 80)), CPU))
    assert even.keys() & {"class_weights", "sampling"} == set()


def test_choose__classes_of_unequal_size_are_drawn_equally_often():
    choices = choose(survey(ImageFolder, counts=(90, 30)), CPU)
    assert settings(choices)["sampling"] == "class_balanced"
    assert "the largest has 90 images in train, the smallest 30" in reasons(choices)["sampling"]
    assert "sampling" not in settings(choose(survey(ImageFolder, counts=(80, 30)), CPU))


@pytest.mark.parametrize(
    ("module", "side", "machine", "blocks", "net"),
    [
        (ImageFolder, (300, 400), CPU, ("image_folder", "timm"), {"encoder": "resnet18.a1_in1k"}),
        (ImageTable, (300, 400), GPU, ("image_table", "timm"), {"encoder": "resnet50.a1_in1k"}),
        (ImageFolder, (28, 28), CPU, ("image_folder", "simple_cnn"), {"image_size": 28}),
        (ImageFolder, (28, 20), CPU, ("image_folder", "timm"), {"encoder": "resnet18.a1_in1k", "small_images": True}),
    ],
)
def test_choose__classifiers(module, side, machine, blocks, net):
    choices = choose(survey(module, side), machine)
    assert choices.base == [f"configs/data/{blocks[0]}.yaml", f"configs/net/{blocks[1]}.yaml"]
    assert settings(choices)["net"] == {"init_args": net}
    size = settings(choices)["train_transforms"][int(max(side) < 64)]["init_args"]
    expected = side if max(side) < 64 else (224, 224) if machine is GPU else (128, 128)
    assert tuple(size.get("size", (size.get("height"), size.get("width")))) == expected


@pytest.mark.parametrize(("train", "epochs"), [(100, 125), (8, 200), (10**6, 10)])
def test_choose__epochs_make_a_training_of_common_length(train, epochs):
    assert settings(choose(survey(train=train), CPU))["max_epochs"] == epochs


def test_choose__answers_win_and_groups_are_suggested():
    choices = choose(survey(options={"root": "x", "batch_size": 3}, group="([^/]+)_[0-9]+"), CPU)
    assert [item.key for item in choices.data].count("batch_size") == 1
    assert settings(choices)["batch_size"] == 3
    (group,) = [item for item in choices.data if item.key == "group"]
    assert not group.is_active
