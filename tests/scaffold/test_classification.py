"""Settings of a classification."""

import pytest

from lightseg.data import ImageFolder, ImageTable
from lightseg.scaffold.choices import choose
from tests.scaffold.facts import CPU, GPU, reasons, settings, survey


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


def test_choose__labels_that_overlap():
    table = {"table": "a.csv", "label_columns": ["class_0", "class_1"]}
    choices = choose(survey(ImageTable, counts=(60, 5), options=table, overlap=0.5), CPU)
    assert choices.base == ["configs/data/image_labels.yaml", "configs/net/timm.yaml"]
    assert choices.task.value == "MultilabelClassificationTask"
    assert "50.0% of the images with a class have several" in choices.task.reason
    assert settings(choices)["loss"] == "bce"
    assert settings(choices)["positive_weights"] == "balanced"
    assert reasons(choices)["positive_weights"].endswith("as those without it: class_1")
    even = settings(choose(survey(ImageTable, counts=(60, 30), options=table, overlap=0.0), CPU))
    assert even.keys() & {"positive_weights", "sampling"} == set()
