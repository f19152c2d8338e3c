"""Settings of a segmentation."""

import pytest

from lightseg.data import MultilabelMaskFolder
from lightseg.scaffold.choices import choose
from tests.scaffold.facts import CPU, GPU, reasons, settings, survey


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


def test_choose__rare_classes_of_masks():
    options = settings(choose(survey(counts=(800, 190, 10), image_counts=(100, 90, 5)), CPU))
    assert (options["loss"], options["class_weights"]) == ({"ce": 1.0, "dice": 1.0}, "sqrt_inverse")
    assert options["sampling"] == "repeat_factor"
    even = settings(choose(survey(counts=(400, 300, 300), image_counts=(100, 90, 80)), CPU))
    assert even.keys() & {"class_weights", "sampling"} == set()


def test_choose__classes_that_overlap():
    choices = choose(survey(MultilabelMaskFolder, counts=(400, 10), overlap=0.25), CPU)
    assert choices.base == ["configs/data/multilabel_mask_folder.yaml", "configs/net/smp.yaml"]
    assert choices.task.value == "MultilabelSegmentationTask"
    assert (
        choices.task.reason
        == "each class is there or not by itself, since 25.0% of the pixels with a class have several"
    )
    assert settings(choices)["loss"] == {"bce": 1.0, "dice": 1.0}
    assert "class_weights" not in settings(choices)
    apart = choose(survey(MultilabelMaskFolder, overlap=0.0), CPU)
    assert "pixels never have several here" in apart.task.reason
    assert (
        choose(survey(MultilabelMaskFolder, counts=(9,), image_counts=(9,), overlap=0.0), CPU).task.value
        == "BinarySegmentationTask"
    )
    assert choose(survey(), CPU).task is None
