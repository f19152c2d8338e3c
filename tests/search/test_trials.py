"""The trials of a search in the storage of Optuna, and in the folders of their runs."""

import contextlib
import json
import shutil
import sqlite3

import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from lightseg.errors import ConfigError, UserError
from lightseg.fit import main as fit
from lightseg.search.study import Study
from lightseg.search.trials import Search, SearchPlan, describe_full_disk, find_searches
from tests.helpers.small_disk import limited_files

SPACE = {"model.optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True}}


@pytest.fixture
def make(tmp_path):
    def create(stamp="1", runs="runs", **settings):
        study = Study(**{"space": SPACE, "trials": 4, "sampler": "random", "storage": "journal", **settings})
        plan = SearchPlan(arguments=["--config=a.yaml"], recipe="0", group="a", cores=None, study=study)
        return Search.create(str(tmp_path / runs), "a", plan, stamp)

    return create


@pytest.fixture
def play(template):
    """Copy a finished run into the folder of a trial."""

    def copy(search, number, source=template, **metrics):
        folder = search.run_folders[number]
        shutil.copytree(source, folder)
        changed = json.loads((folder / "metrics.json").read_text()) | metrics
        (folder / "metrics.json").write_text(json.dumps(changed))

    return copy


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_full_disk__keeps_the_trials_and_what_is_not_written_comes_later(make, play, storage):
    search = make(storage=storage)
    for number in (search.ask(), search.ask()):
        play(search, number)
    search.finish(0)
    with pytest.raises((OSError, StorageInternalError)) as raised, limited_files(64):
        search.finish(1)
    assert describe_full_disk(raised.value) in ("disk I/O error", "unable to open database file", "File too large")
    again = Search.read(search.folder)
    assert list(again.settle()) == []
    assert again.with_state(TrialState.COMPLETE) == [0, 1]
    assert describe_full_disk(ValueError("wrong")) is None


def test_search__is_read_as_it_was_created(make):
    search = make(objective=["score", "flops"])
    again = Search.read(search.folder)
    assert (again.folder, again.plan) == (search.folder, search.plan)
    assert not again.is_finished
    assert [folder.name for folder in again.run_folders] == ["1-00", "1-01", "1-02", "1-03"]
    assert again.output(2) == search.folder / "02.txt"


@pytest.mark.parametrize("storage", ["sqlite", "journal"])
def test_resumed_search__keeps_its_trials_and_draws_other_values(make, storage):
    search = make(storage=storage)
    assert [search.ask(), search.ask()] == [0, 1]
    # a killed process leaves its lock
    (search.folder / "trials.log.lock").symlink_to("none")
    again = Search.read(search.folder)
    assert again.ask() == 2
    assert [again.options(number) for number in (0, 1)] == [search.options(number) for number in (0, 1)]
    assert len({again.options(number)["model.optimizer.lr"] for number in range(3)}) == 3
    assert again.ask() == 3
    assert again.ask() is None


def sql(statement):
    def change(search):
        with contextlib.closing(sqlite3.connect(search.folder / "trials.db")) as connection:
            connection.execute(statement)
            connection.commit()

    return change


def plan(**settings):
    def change(search):
        file = search.folder / "search.json"
        content = json.loads(file.read_text())
        content["study"] |= settings
        file.write_text(json.dumps(content))

    return change


OTHER_FILE, GONE, DAMAGED = (
    "does not fit search.json beside it",
    "does not have the trial of",
    "is damaged, or",
)


@pytest.mark.parametrize(
    ("storage", "change", "message"),
    [
        ("journal", plan(trials=1), OTHER_FILE),
        ("journal", plan(space={"model.optimizer.weight_decay": [0, 1]}), OTHER_FILE),
        ("journal", plan(space={"model.optimizer.lr": {"low": 1, "high": 2}}), OTHER_FILE),
        ("journal", plan(objective=["score", "flops"]), OTHER_FILE),
        ("journal", plan(storage="sqlite"), GONE),
        ("journal", lambda search: (search.folder / "trials.log").unlink(), GONE),
        ("journal", lambda search: (search.folder / "trials.log").write_text("x\n5\n"), DAMAGED),
        ("journal", lambda search: (search.folder / "trials.log").write_text('{"op_code": 99}\n'), DAMAGED),
        ("sqlite", lambda search: (search.folder / "trials.db").write_text("no database, but a text"), DAMAGED),
        ("sqlite", sql("update trial_values set value_type = 'INF_POS', value = null"), OTHER_FILE),
        ("sqlite", sql("delete from trial_values"), OTHER_FILE),
        ("sqlite", sql("update trials set number = 7"), OTHER_FILE),
        ("sqlite", sql("update trials set state = 'LOST'"), DAMAGED),
    ],
)
def test_storage__of_another_search_or_damaged_is_refused(make, play, storage, change, message):
    search = make(storage=storage)
    search.ask(), search.ask()
    play(search, 0)
    search.finish(0)
    change(search)
    again = Search.read(search.folder)
    with pytest.raises(UserError, match=message):
        again.settle()


def test_storage__goes_on_behind_the_last_complete_line(make):
    search = make()
    search.ask()
    file = search.folder / "trials.log"
    complete = file.read_text()
    file.write_text(complete + '{"op_code": 4, "wor')
    assert Search.read(search.folder).ask() == 1
    assert file.read_text().startswith(complete)
    assert [Search.read(search.folder).options(number) for number in (0,)] == [search.options(0)]


def test_settle__a_trial_whose_values_were_being_drawn_fails(make):
    search = make(space={**SPACE, "model.net.width": [4, 8]})
    search.ask()
    # what a kill in the middle leaves
    search.optuna.ask().suggest_float("model.optimizer.lr", 1e-4, 1e-2, log=True)
    again = Search.read(search.folder)
    assert list(again.settle()) == [0]
    assert again.with_state(TrialState.FAIL) == [1]


def test_storage__lies_in_the_folder_whatever_its_name(make, tmp_path):
    search = make(runs="a?{b}", storage="sqlite")
    assert search.ask() == 0
    assert (search.folder / "trials.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["a?{b}"]


def test_label__has_the_values_in_short(make):
    search = make()
    number = search.ask()
    value = float(search.options(number)["model.optimizer.lr"])
    assert search.label(number) == f"trial 0 (lr {value:.3g})"


def test_settle__takes_the_values_of_finished_runs(make, play):
    search = make(objective=["score", "flops", "parameters"])
    for _ in range(3):
        search.ask()
    play(search, 1, **{"val/score": 0.25})
    again = Search.read(search.folder)
    assert list(again.settle()) == [0, 2]
    cost = json.loads((search.run_folders[1] / "model.json").read_text())
    assert again.trials[1].values == [0.25, cost["gflops"], cost["parameters"]]
    assert again.with_state(TrialState.COMPLETE) == [1]


def test_latency__is_that_of_the_trial_and_one_without_fails(make, play):
    search = make(objective=["score", "latency"])
    for number in range(2):
        search.ask()
        play(search, number, **{"val/score": 0.25})
    (search.run_folders[1] / "latency.json").write_text(json.dumps({"latency_ms": 1.5}))
    assert not search.settle()
    assert search.with_state(TrialState.FAIL) == [0]
    assert search.trials[1].values == [0.25, 1.5]


def test_winner__is_the_first_with_the_highest_score(make, play):
    search = make()
    assert search.winner() is None
    for number, score in enumerate((0.5, 0.75, 0.75)):
        search.ask()
        play(search, number, **{"val/score": score})
        search.finish(number)
    search.ask()
    search.fail(3)
    assert search.winner() == 1


def test_front__has_the_trials_that_no_other_one_beats(make, play):
    search = make(objective=["score", "flops"])
    for number, (score, gflops) in enumerate(((0.5, 1.0), (0.75, 2.0), (0.7, 2.0), (0.8, 4.0))):
        search.ask()
        play(search, number, **{"val/score": score})
        cost = {"parameters": 1, "gflops": gflops, "input": [3, 16, 16]}
        (search.run_folders[number] / "model.json").write_text(json.dumps(cost))
        search.finish(number)
    assert search.front() == [0, 1, 3]


def test_run_without_a_score__is_a_failed_trial(make, play):
    search = make()
    search.ask()
    play(search, 0, **{"val/score": None})
    search.finish(0)
    assert search.with_state(TrialState.FAIL) == [0]


@pytest.mark.slow
def test_trial__of_other_images_is_refused(make, play, template, tmp_path, capsys):
    search = make()
    play(search, search.ask())
    search.finish(0)
    options = ["--data.val_size", "2", "--runs_dir", str(tmp_path / "other")]
    assert fit(["--config", str(template / "config.yaml"), "--name", "b", *options]) == 0
    (other,) = (tmp_path / "other/b").iterdir()
    play(search, search.ask(), other)
    with pytest.raises(ConfigError, match=r"(?s)do not compare on val.*take the key that changes this out"):
        search.finish(1)


def test_median_pruner__stops_a_trial_below_the_median(make, play):
    search = make(trials=7, pruner="median")
    for number in range(7):
        search.ask()
        folder = search.run_folders[number]
        assert not search.should_prune(number)
        folder.mkdir()
        score = (0.5, 0.5, 0.5, 0.5, 0.5, 0.4, 0.6)[number]
        (folder / "metrics.jsonl").write_text(json.dumps({"step": 1, "val/score": score}) + "\n")
        assert search.should_prune(number) == (number == 5)
        # a validation is reported once
        assert not search.should_prune(number)
        search.optuna.tell(number, score) if number < 5 else search.prune(number)
    assert search.with_state(TrialState.PRUNED) == [5, 6]


def test_searches__newest_first_without_damaged_ones(make):
    folders = [make(stamp).folder for stamp in "132"]
    (folders[2] / "search.json").write_text("{")
    assert [search.folder for search in find_searches(folders[0].parent)] == [folders[1], folders[0]]


def test_folder__of_no_search(make, tmp_path):
    with pytest.raises(UserError, match="no folder of a search"):
        Search.read(tmp_path)
