import json
import math

import pytest
import yaml

from lightseg.errors import UserError
from lightseg.runs.read import find
from tests.comparison.fabricate import config, write_run


def test_find__folders_patterns_and_all_below(tmp_path):
    a, b, c = (write_run(tmp_path / name) for name in ("one/a", "one/b", "two/deep/c"))
    for places, expected in {
        (a,): [a],
        (tmp_path / "one",): [a, b],
        (tmp_path,): [a, b, c],
        (tmp_path / "*" / "[ab]",): [a, b],
        (c, a): [a, c],
    }.items():
        runs, notes = find([str(place) for place in places])
        assert [run.folder for run in runs] == expected
        assert notes == []


def test_find__the_same_run_twice_counts_once(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    runs, notes = find([str(folder), "a", "./a/"])
    assert [run.folder for run in runs] == [folder]
    assert notes == [f"{folder} was given twice; it counts once"]


def test_find__an_unfinished_run_is_skipped_below_a_folder_and_an_error_by_itself(tmp_path):
    finished, unfinished = write_run(tmp_path / "done"), write_run(tmp_path / "open")
    (unfinished / "metrics.json").unlink()
    runs, notes = find([str(tmp_path)])
    assert [run.folder for run in runs] == [finished]
    assert notes == [f"{unfinished} is not finished; it is left out"]
    with pytest.raises(
        UserError, match=f"{unfinished}: this run is not finished; go on with it .*--resume {unfinished}"
    ):
        find([str(finished), str(unfinished)])


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", "nowhere: there is no such folder$"),
        ("emty", r"emty: there is no such folder; did you mean empty\?"),
        ("no*", r"no\*: there is no such folder"),
        ("empty", "empty: there is no run folder, which has a config.yaml, in it"),
    ],
)
def test_find__nothing(place, message, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        find([place])


def test_find__nothing_finished(tmp_path):
    (write_run(tmp_path / "open") / "metrics.json").unlink()
    with pytest.raises(UserError, match="no finished run among these\n.*open is not finished"):
        find([str(tmp_path)])


@pytest.mark.parametrize("name", ["metrics.json", "env.json", "config.yaml"])
@pytest.mark.parametrize("content", ['{"a": 1', "[1]"])
def test_read__damaged(name, content, tmp_path):
    folder = write_run(tmp_path / "a")
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=f"{folder / name}: is damaged .*leave this run out"):
        find([str(folder)])


def test_read__made_by_an_older_version(tmp_path):
    folder = write_run(tmp_path / "a")
    (folder / "model.json").unlink()
    with pytest.raises(UserError, match="model.json: is missing: the run was made by an older version"):
        find([str(folder)])


@pytest.mark.parametrize(
    ("name", "content", "lacks"),
    [
        ("config.yaml", "data: {}", "seed_everything"),
        ("config.yaml", "seed_everything: 0", "data"),
        ("metrics.json", '{"loss": "low"}', "train/seconds"),
        ("model.json", '{"gflops": 1}', "parameters"),
    ],
)
def test_read__a_file_of_another_program(name, content, lacks, tmp_path):
    folder = write_run(tmp_path / "a")
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=rf"{folder / name}: is no file of a run, or is damaged \(it has no {lacks}\)"):
        find([str(tmp_path)])


def test_read__parses_a_record_once(tmp_path, monkeypatch):
    folder, files, load = write_run(tmp_path / "a"), [], yaml.safe_load
    monkeypatch.setattr(yaml, "safe_load", lambda text: files.append(text) or load(text))
    find([str(folder)])
    assert len(files) == 1


def test_run__attributes(tmp_path):
    (run,), _ = find([str(write_run(tmp_path / "roads" / "a", config(seed=3, fold=1, folds=5)))])
    assert (run.name, run.seed, run.fold, run.label) == ("roads", 3, 1, "roads/a")
    assert run.images_per_s == 30  # the median of 20, 30 and 90
    assert run.evaluation("test").images[0] == "image-0000"
    assert run.evaluation("val") is None


def test_run__null_is_nan(tmp_path):
    folder = write_run(tmp_path / "a")
    (folder / "metrics.json").write_text('{"train/seconds": 1, "test/iou/car": null}')
    assert math.isnan(find([str(folder)])[0][0].metrics["test/iou/car"])


@pytest.mark.parametrize("samples", [40, 30])
def test_find__an_ensemble_has_the_training_data_that_its_members_share(tmp_path, samples):
    members = [write_run(tmp_path / f"run{seed}", config(seed=seed)) for seed in (0, 1)]
    for folder, number in zip(members, (40, samples), strict=True):
        record = {"train": {"samples": number, "sha256": str(number)}, "test": {"samples": 40, "sha256": "5ha"}}
        (folder / "data.json").write_text(json.dumps(record))
    ensemble = tmp_path / "ensemble"
    ensemble.mkdir()
    facts = [
        {"run": str(folder), "checkpoint": str(folder / "checkpoints/best.ckpt"), "sha256": "0" * 64}
        for folder in members
    ]
    (ensemble / "ensemble.json").write_text(json.dumps({"members": facts}))
    (ensemble / "metrics.json").write_text('{"test/score": 0.5}')
    runs = {run.folder: run for run in find([str(ensemble)])[0]}
    shared = {"samples": 40, "sha256": "40"} if samples == 40 else None
    assert runs[ensemble].data.get("train") == shared
