"""What a key of a recipe takes, for suggestions in messages."""

import pytest
from jsonargparse import Namespace

from lightseg.cli.choices import class_names, find_class, list_blocks, options_of, public_names
from lightseg.nets import UNet


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("model.net", {"UNet", "FCN", "TimmNet", "SmpNet", "SimpleCNN"}),
        ("model", {"SegmentationTask", "ClassificationTask"}),
        ("data", {"Shapes", "MaskFolder", "ImageFolder"}),
        ("model.optimizer", {"SGD", "AdamW"}),
        ("trainer.callbacks", {"EMA", "EarlyStopping"}),
    ],
)
def test_class_names__of_this_package_and_of_libraries(key, names):
    listed = class_names(key)
    assert names <= set(listed)
    assert listed == sorted(listed)
    assert not any(name.startswith("_") for name in listed)


def test_class_names__abstract_ones_and_unknown_keys_have_none():
    assert "Task" not in class_names("model")
    assert "ImageDataModule" not in class_names("data")
    assert class_names("model.loss") == []


def test_options_of__the_class_of_the_config():
    net = Namespace(class_path="lightseg.nets.UNet", init_args=Namespace(width=8))
    composed = Namespace(model=Namespace(init_args=Namespace(net=net)))
    options = options_of("model.net", composed)
    assert {"width", "depth"} <= set(options)
    # they are set from the data
    assert not {"self", "num_classes", "in_channels"} & set(options)


def test_options_of__classes_of_a_message_come_first():
    composed = Namespace(model=Namespace(class_path="lightseg.tasks.SegmentationTask", init_args=Namespace()))
    message = "Problem with given class_path 'class_path': 'lightseg.nets.FCN'"
    assert options_of("model.net", composed, message) == options_of(
        "model.net", Namespace(model=Namespace(init_args=Namespace(net=Namespace(class_path="lightseg.nets.FCN"))))
    )


def test_options_of__fit_and_trainer():
    assert "runs_dir" in options_of("", Namespace())
    assert {"max_epochs", "devices"} <= set(options_of("trainer", Namespace()))


def test_find_class__of_what_has_been_imported():
    assert find_class("lightseg.nets.UNet") is UNet
    assert find_class("lightseg.nets.Unet") is None
    assert find_class("module_that_nobody_imported.Net") is None
    assert "UNet" in public_names("lightseg.nets")
    assert public_names("module_that_nobody_imported") == []


def test_list_blocks__of_data_and_nets():
    assert list_blocks("model.net").startswith("\navailable in configs/net: ")
    assert list_blocks("model") == list_blocks("net")
    assert "mask_folder" in list_blocks("data")
    assert list_blocks("trainer") == ""
