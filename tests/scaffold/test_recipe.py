import yaml

from lightseg.scaffold.choices import Choices
from lightseg.scaffold.recipe import format_recipe
from lightseg.scaffold.settings import Setting


def test_format_recipe():
    transforms = [{"class_path": "albumentations.D4"}, {"class_path": "albumentations.Blur", "init_args": {"p": 0.5}}]
    choices = Choices(
        ["a.yaml", "b.yaml"],
        None,
        [Setting("loss", "ce", "a reason")],
        [Setting("train_transforms", transforms), Setting("group", "(.)", "perhaps", is_active=False)],
        [Setting("max_epochs", 3)],
    )
    assert (
        format_recipe(choices, ["title"])
        == """\
# title
base: [a.yaml, b.yaml]
model:
  init_args:
    # a reason
    loss: ce
data:
  init_args:
    train_transforms:
      - class_path: albumentations.D4
      - class_path: albumentations.Blur
        init_args: {p: 0.5}
    # perhaps
    # group: (.)
trainer:
  max_epochs: 3
"""
    )


def test_format_recipe__names_stay_names_and_lines_short():
    classes = ["no", "1", "a: b", "two\nlines", "#x", "é", *(f"class of number {index}" for index in range(20))]
    values = dict(enumerate(classes))
    data = [Setting("classes", classes, "names\ntrainer: {}"), Setting("values", values, "word " * 50)]
    text = format_recipe(Choices([], None, [Setting("loss", "ce")], data, [Setting("max_epochs", 1)]), [])
    options = yaml.safe_load(text)["data"]["init_args"]
    assert options == {"classes": classes, "values": values}
    assert yaml.safe_load(text)["trainer"] == {"max_epochs": 1}
    assert max(map(len, text.splitlines())) <= 120
