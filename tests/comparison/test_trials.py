import json

import pytest

from lightseg.comparison.text import reading
from lightseg.errors import UserError
from tests.comparison.fabricate import skilled, wide


def fold(index, of=3, **changes):
    """Return arguments of a run that was scored on every third image."""
    logged = skilled(0.8)[0][index::of]
    names = [f"i{number:02}" for number in range(index, 60, of)]
    facts = {"logged": logged, "images": names, "split": "val", "data": f"{index}"}
    return wide(4, fold=index, folds=of, **changes), facts


def test_trials__folds_of_equal_recipes_are_one(runs):
    comparison = runs(*[fold(index, model__optimizer__lr=lr) for index, lr in enumerate((1, 1.0, 1))])
    assert [len(trial.runs) for trial in comparison.groups[0].trials] == [3]
    assert "The score of a cross-validation is that of all its folds' counts together" in reading(comparison)[-1]


@pytest.mark.parametrize(
    ("samples", "difference"),
    [((40, 40), "other content, hash a[+]11111111 and a[+]22222222"), ((40, 41), "40 and 41 samples")],
)
def test_align__folds_of_different_data(runs, tmp_path, samples, difference):
    runs(fold(0, 2), fold(1, 2))
    for index, (number, label) in enumerate(zip(samples, "12", strict=True)):
        pool = {"samples": number, "sha256": f"a+{16 * label}"}
        (tmp_path / f"run{index:02}" / "data.json").write_text(json.dumps({"pool": pool}))
    with pytest.raises(UserError, match=rf"run00 and 1 more folds: its folds were dealt .* \({difference}\)\nleave"):
        runs()
    assert [note.partition(" ")[0] for note in runs(force=True).notes][:1] == ["forced:"]


def test_missing_folds__of_one_that_is_left(runs):
    assert "roads, seed 0: no fold 0, 2" in runs(fold(1)).notes


def test_missing_folds__on_the_test_split_none_is(runs):
    arguments = [(wide(4, fold=index, folds=3), {"split": "test"}) for index in (0, 1)]
    assert not [note for note in runs(*arguments, split="test").notes if "no fold" in note]


@pytest.fixture
def commit(tmp_path):
    """Write the commit of a run that `runs` has arguments."""

    def write(index, name):
        state = {"commit": 10 * name, "dirty": False, "untracked": []}
        (tmp_path / f"run{index:02}" / "git.json").write_text(json.dumps(state))

    return write


def test_notes__a_group_of_several_commits(runs, commit):
    runs((wide(4), {}), (wide(4, seed=1), {}), (wide(8), {}))
    for index, name in enumerate("aba"):
        commit(index, name)
    assert runs().notes == ("width 4: its runs differ in code or packages: commit: aaaaaaaaaa -> bbbbbbbbbb",)


def test_notes__groups_of_different_commits(runs, commit):
    runs((wide(4), {}), (wide(8), {}))
    for index, name in enumerate("ab"):
        commit(index, name)
    assert runs().notes == ("the groups differ in code or packages, too: commit: aaaaaaaaaa -> bbbbbbbbbb",)
