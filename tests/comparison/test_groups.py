from pathlib import Path

import pytest

from lightseg.comparison.groups import differing, flat, group, labels, resolve
from lightseg.errors import UserError
from lightseg.runs.read import Run
from tests.comparison.fabricate import config


def run(train=None, **facts):
    """Return a run; `train` holds number and hash of the training samples."""
    resolved, data = config(**facts), {"train": {"samples": train[0], "sha256": train[1]}} if train else {}
    return Run(Path(f"/runs/{resolved['seed_everything']}"), resolved["name"], resolved, {}, {}, {}, data)


def describe(*runs, by=None):
    """Return the differing options of each group by its label."""
    key = resolve(by, runs) if by else None
    groups = group(runs, key)
    differs = differing(groups)
    return dict(zip(labels(groups, differs, key), differs, strict=True))


def test_group__seeds_places_names_and_hardware_make_no_other_recipe():
    # root, num_workers and runs_dir follow the seed
    eight = {"trainer__devices": 8, "trainer__strategy": "ddp", "trainer__sync_batchnorm": True}
    runs = [run(seed=0), run(seed=1, name="again"), run(seed=2, **eight), run(seed=3, data__fold=1)]
    assert group(runs) == [runs]


def test_group__synchronised_batches_of_one_device_are_no_other_recipe():
    # as the default is on a CPU, and with one GPU
    runs = [run(seed=0, trainer__sync_batchnorm=False), run(seed=1, trainer__sync_batchnorm=True)]
    assert group(runs) == [runs]


def test_group__processes_that_normalise_by_themselves_are_another_recipe():
    groups_by_label = describe(run(trainer__devices=1), run(seed=1, trainer__devices=2))
    key = "processes without SyncBatchNorm"
    assert groups_by_label == {f"{key} none": {key: "none"}, f"{key} 2": {key: "2"}}


def test_group__precisions_are_other_recipes_and_none_is_float32():
    assert list(describe(run(trainer__precision="bf16-mixed"), run(trainer__precision="32-true"))) == [
        "precision 32-true",
        "precision bf16-mixed",
    ]
    # runs of older versions state none
    names = (None, "32-true", 32, "32")
    assert len(group([run(seed=seed, trainer__precision=name) for seed, name in enumerate(names)])) == 1


def test_group__other_training_data_are_another_recipe():
    first, second, repeated = [run((40, 12 * letter + "0"), seed=seed) for seed, letter in enumerate("abb")]
    assert group([first, second, repeated]) == [[first], [second, repeated]]
    assert list(describe(first, second)) == [f"training data 40 samples, hash {12 * letter}" for letter in "ab"]


def test_group__other_labels_of_the_same_files_are_another_recipe():
    labels = [16 * "1", 16 * "2", None]
    runs = [run((40, f"{12 * 'a'}+{label}" if label else 12 * "a"), seed=seed) for seed, label in enumerate(labels)]
    assert len(group(runs)) == 3
    assert sorted(describe(*runs)) == [
        *(f"training labels hash {12 * digit}" for digit in "12"),
        "training labels unknown",
    ]


def test_group__the_training_data_of_a_fold_are_its_own():
    runs = [run((40, letter), folds=2, fold=fold) for fold, letter in enumerate("ab")]
    assert group(runs) == [runs]


def test_labels__have_the_option_that_changed_the_training_data():
    groups_by_label = describe(run((40, "a"), data__train_size=40), run((80, "b"), data__train_size=80))
    assert list(groups_by_label) == ["train_size 40", "train_size 80"]
    assert groups_by_label["train_size 80"] == {"train_size": "80", "training data": "80 samples, hash b"}


def test_group__one_is_one():
    assert len(group([run(data__batch_size=4), run(data__batch_size=4.0), run(model__loss={"ce": 1})])) == 1


def test_group__what_may_change_the_score_does():
    assert len(group([run(), run(trainer__precision="bf16-mixed"), run(data__folds=5)])) == 3


def test_labels__what_differs_under_one_name():
    assert describe(run(), run(model__net__width=8)) == {"width 4": {"width": "4"}, "width 8": {"width": "8"}}


def test_labels__names_where_they_tell_all_apart():
    assert set(describe(run(name="small"), run(name="wide", model__net__width=8))) == {"small", "wide"}


def test_labels__names_and_what_differs_where_neither_suffices():
    runs = [run(name="a"), run(name="a", model__net__width=8), run(name="b", model__net__width=16)]
    assert set(describe(*runs)) == {"a, width 4", "a, width 8", "b, width 16"}


def test_labels__of_many_differences_those_that_tell_apart():
    others = {"model__optimizer__lr": 0.1, "trainer__max_epochs": 9, "data__batch_size": 2, "model__net__depth": 3}
    groups_by_label = describe(run(), run(**others))
    assert set(groups_by_label) == {"max_epochs 2 (and 3 more)", "max_epochs 9 (and 3 more)"}
    assert [len(differs) for differs in groups_by_label.values()] == [4, 4]


def test_labels__series_that_the_user_has_named():
    runs = [run(group="narrow"), run(group="wide", model__net__width=8)]
    assert set(describe(*runs)) == {"narrow", "wide"}
    runs = [run(group="roads-20260102T030405-a1b2"), run(group="wide", model__net__width=8)]
    assert set(describe(*runs)) == {"width 4", "width 8"}


def test_labels__runs_of_a_series_have_their_seed():
    assert set(describe(run(), run(seed=1), by="run")) == {"0, seed 0", "1, seed 1"}


def test_labels__one_group_is_called_by_its_name():
    assert describe(run(), run(seed=1)) == {"roads": {}}


def test_differing__short_names_that_are_unique():
    changes = {"model__optimizer__lr": 0.1, "model__loss": {"dice": 1.0}, "model__class_weights": "inverse"}
    groups_by_label = describe(run(), run(**changes))
    assert {"loss": "{ce: 1.0}", "class_weights": "none", "lr": "0.01"} in groups_by_label.values()
    assert {"loss": "{dice: 1.0}", "class_weights": "inverse", "lr": "0.1"} in groups_by_label.values()


def test_differing__longer_names_where_the_ends_are_the_same():
    groups_by_label = describe(run(), run(model__net__depth=3, model__optimizer__depth=1))
    assert set(next(iter(groups_by_label.values()))) == {"net.depth", "optimizer.depth"}


def test_differing__options_of_another_class_follow_from_the_class():
    net = {"class_path": "lightseg.nets.SmpNet", "init_args": {"encoder": "resnet18", "width": 4}}
    groups_by_label = describe(run(), run(model__net=net))
    assert groups_by_label == {"net UNet": {"net": "UNet"}, "net SmpNet": {"net": "SmpNet"}}


def test_by__a_key_alone_makes_the_groups():
    runs = [run(), run(model__net__width=8), run(model__net__width=8, model__optimizer__lr=0.1)]
    groups_by_label = describe(*runs, by="net.width")
    assert groups_by_label["width 8"] == {"width": "8", "lr": "0.01 | 0.1"}
    assert groups_by_label["width 4"] == {"width": "4", "lr": "0.01"}


@pytest.mark.parametrize("by", ["width", "net.width", "model.net.width", "model.init_args.net.init_args.width"])
def test_resolve__an_end_of_a_key(by):
    assert resolve(by, [run()]) == "model.net.width"


def test_resolve__a_class():
    assert resolve("net", [run()]) == resolve("model.init_args.net.class_path", [run()]) == "model.net"


def test_resolve__misspelt():
    with pytest.raises(UserError, match="--by net.widht: no run has such a key; did you mean net.width"):
        resolve("net.widht", [run()])


def test_resolve__of_several():
    with pytest.raises(UserError, match="may be model.net.depth or model.optimizer.depth; write more"):
        resolve("depth", [run(model__optimizer__depth=1)])


def test_flat__null_is_as_if_it_were_not_there():
    assert "model.class_weights" not in flat(config())
    assert flat(config())["model.net"] == {"class_path": "lightseg.nets.UNet"}
