import inspect

import albumentations
import pytest

from lightseg import data, nets, optim
from lightseg.data import device_transforms
from lightseg.list.classes import list_classes
from lightseg.losses import LOSSES, MULTILABEL_LOSSES
from lightseg.nets.heads import HEADS


def exported(module, base):
    """Return the concrete classes that a module exports, by name."""
    classes = {
        name: value for name, value in vars(module).items() if inspect.isclass(value) and issubclass(value, base)
    }
    return {name: kind for name, kind in classes.items() if kind is not base and not inspect.isabstract(kind)}


KINDS = {
    "heads": HEADS,
    "nets": exported(nets, nets.Net),
    "datasets": exported(data, data.ImageDataModule),
    "schedules": exported(optim, optim.Schedule),
}


@pytest.mark.parametrize("kind", KINDS)
def test_classes__are_those_that_a_recipe_can_name(kind):
    rows = {row["name"]: row for row in list_classes(kind)}
    assert rows.keys() == KINDS[kind].keys()
    for name, value in KINDS[kind].items():
        assert rows[name]["summary"] == " ".join(inspect.getdoc(value).partition("\n\n")[0].split())
    assert list(rows) == sorted(rows, key=str.lower)


def test_losses__are_those_of_exclusive_and_overlapping_classes():
    rows = list_classes("losses")
    for kinds, name in ((LOSSES, "exclusive"), (MULTILABEL_LOSSES, "overlapping")):
        summaries = {row["name"]: row["summary"] for row in rows if row["classes"] in (name, "any")}
        assert summaries.keys() == kinds.keys()
        for key, kind in kinds.items():
            assert summaries[key] == " ".join(inspect.getdoc(kind).partition("\n\n")[0].split())


def test_transforms__are_those_that_a_recipe_can_name():
    for row in list_classes("transforms"):
        modules = {"albumentations": albumentations, "lightseg.data": data}
        kind = getattr(modules.get(row["package"], device_transforms), row["name"])
        base = (
            device_transforms.DeviceTransform
            if row["package"].endswith("device_transforms")
            else albumentations.BasicTransform
        )
        assert issubclass(kind, base), row
        assert not inspect.isabstract(kind), row
    names = {row["name"] for row in list_classes("transforms")}
    assert {"RandomCrop", "HorizontalFlip", "RareClassCrop", "RandomFlip"} <= names


def test_papers__are_those_of_the_source():
    papers = {row["name"]: row["paper"] for row in list_classes("heads") + list_classes("nets")}
    assert papers["segformer"] == "arXiv:2105.15203"
    assert papers["UNet"] == "arXiv:1505.04597"
    # that of a change is no source
    assert papers["TimmNet"] is None
