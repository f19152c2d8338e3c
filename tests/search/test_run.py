"""A search from start to end; where it is about the search alone, the trials are played by a script."""

import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightseg.errors import UserError
from lightseg.search.__main__ import main
from lightseg.search.run import parse
from tests.helpers.forked_process import ForkedProcess
from tests.helpers.processes import wait_until
from tests.helpers.small_disk import limited_files

LR = "model.optimizer.lr"


def commands(folder):
    """Command of each run beside the folder of a search, without that of the program."""
    return {
        file.parent.name: file.read_text().partition("lightseg.fit ")[2]
        for file in sorted(folder.parent.glob("*/command.txt"))
    }


def report(folder):
    return json.loads((folder / "report.json").read_text())


# ---- the story -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_search__trials_in_a_group_and_the_winner_on_fresh_seeds(played, folder, call, template):
    code, out, err = call(main, *played(storage="journal"), "--jobs", "2", "--objective", "score,flops,latency")
    assert (code, err) == (0, "")
    lines, stamp = out.splitlines(), folder().name.removeprefix("search-")
    assert lines[0].startswith(f"search runs/tiny/search-{stamp}: 4 trials, 2 at a time, ")
    assert lines[-1] == f"search: {folder()}"
    result = report(folder())
    trials = result["trials"]
    assert [(trial["number"], trial["state"]) for trial in trials] == [(number, "complete") for number in range(4)]
    # the script scores by the learning rate, and costs by the width
    for trial in trials:
        options = trial["options"]
        width = float(options["model.net.width"])
        assert trial["values"] == {"score": float(options[LR]), "flops": width, "latency": width / 2}
        words = " ".join(f"--{key}={value}" for key, value in options.items())
        assert commands(folder())[trial["run"]] == f"--config=tiny.yaml {words} --group=tiny-{stamp}"
    winner = max(trials, key=lambda trial: trial["values"]["score"])
    assert result["winner"]["trial"] == winner["number"]
    words = " ".join(f"--{key}={value}" for key, value in winner["options"].items())
    assert [commands(folder())[run] for run in result["winner"]["runs"]] == [
        f"--config=tiny.yaml {words} --seed_everything={seed} --group=tiny-{stamp}-winner" for seed in (1, 2)
    ]
    # all runs have the counts of the copied one
    metrics = json.loads((template / "metrics.json").read_text())
    assert result["winner"]["selection"]["val"]["value"] == pytest.approx(metrics["val/score"])
    for split in ("val", "test"):
        score = result["winner"]["retraining"][split]
        assert score["value"] == pytest.approx(metrics[f"{split}/score"])
        assert score["deviation"] == pytest.approx(0, abs=1e-9)
    assert (folder() / "report.txt").read_text() in out
    assert all((folder() / f"pareto_{name}.png").stat().st_size > 5000 for name in ("flops", "latency"))
    # the runs of the winner are not measured
    assert len(list(folder().parent.glob("*/latency.json"))) == 4
    # a finished search of the same command is not gone on with
    assert call(main, *played(storage="journal", trials=1))[0] == 0
    assert len(list(folder().parent.glob("search-*"))) == 2


def test_search__with_a_seed_of_its_own_trains_the_winner_on_the_next_ones(played, folder, call, monkeypatch):
    arguments = played(storage="journal", trials=1, winner_seeds=1)
    assert call(main, *arguments, "--seed_everything=4294967295", "--group", "night")[0] == 0
    # that of the trials is the greatest, after which they begin anew
    result = report(folder())
    assert result["winner"]["seeds"] == [0]
    (run,) = result["winner"]["runs"]
    assert commands(folder())[run].endswith("--seed_everything=0 --group=night-winner")
    # a group that is given is one search, even if that is finished
    assert call(main, *arguments, "--seed_everything=4294967295", "--group", "night")[0] == 0
    assert len(list(folder().parent.glob("search-*"))) == 1


def test_search__that_wandb_does_not_take_is_a_warning(played, folder, call):
    assert call(main, *played(storage="journal", trials=1, winner_seeds=1))[::2] == (0, "")
    (trial,) = folder().parent.glob(f"{folder().name.removeprefix('search-')}-*")
    (trial / "wandb.json").write_text("[]")
    code, out, err = call(main, "--resume", folder())
    assert (code, out.splitlines()[-1]) == (0, f"search: {folder()}")
    assert err.startswith(f"warning: W&B has not taken the search: {trial / 'wandb.json'} is damaged")
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_failed_trials__count_and_do_not_stop_the_others(played, folder, call, monkeypatch):
    monkeypatch.setenv("REFUSES", "4")
    monkeypatch.setenv("CODE", "1")
    code, out, _ = call(main, *played(storage="journal", trials=5))
    assert code == 0
    states = {
        trial["number"]: (trial["options"]["model.net.width"], trial["state"]) for trial in report(folder())["trials"]
    }
    assert set(states.values()) == {("4", "fail"), ("8", "complete")}
    failed = sum(state == "fail" for _, state in states.values())
    assert f"trials: {5 - failed} finished, {failed} failed" in out


def test_no_finished_trial__is_a_failure(played, folder, call, monkeypatch):
    monkeypatch.setenv("REFUSES", "all")
    monkeypatch.setenv("CODE", "1")
    code, _, err = call(main, *played(storage="journal", trials=2))
    assert code == 1
    assert "no trial has finished; see the output of each" in err


def test_bad_input__is_reported_once_and_leaves_no_folder(played, call, monkeypatch):
    monkeypatch.setenv("REFUSES", "all")
    monkeypatch.setenv("CODE", "2")
    code, _, err = call(main, *played(storage="journal"))
    assert code == 2
    message = "the width is refused\nso no trial has begun; correct this, then repeat the command\n"
    assert err == f"lightseg: error: {message}"
    assert not Path("runs").exists()


@pytest.mark.slow
def test_full_disk__of_a_trial_is_no_failed_trial(played, folder, call, monkeypatch):
    for name, value in {"REFUSES": "all", "CODE": "1", "MESSAGE": "cannot use a file: the disk is full"}.items():
        monkeypatch.setenv(name, value)
    code, _, err = call(main, *played(storage="journal", trials=1, winner_seeds=1))
    assert code == 1
    place = folder().relative_to(Path.cwd())
    assert f"{place}: trial 0 could not write its files, since the disk is full; make room, then go on with: " in err
    assert err.count("\n") == 1
    monkeypatch.delenv("REFUSES")
    code, out, _ = call(main, "--resume", folder())
    assert code == 0
    assert "trials: 1 finished\n" in out


@pytest.mark.slow
def test_full_disk__is_one_line_and_the_search_goes_on_later(played, folder, call):
    arguments = played(trials=1, winner_seeds=1)
    with limited_files(2**14):
        code, _, err = call(main, *arguments)
    assert code == 1
    place = folder().relative_to(Path.cwd())
    advice = f"make room, then go on with: python -m lightseg.search --resume {place}"
    assert err == f"lightseg: error: {place}: cannot be written (disk I/O error); {advice}\n"
    code, out, _ = call(main, "--resume", folder())
    assert code == 0
    assert "trials: 1 finished" in out


def test_signal__stops_the_trials_and_the_same_command_goes_on(played, folder, call, monkeypatch):
    monkeypatch.setenv("WAITS", "-02")

    def stop():
        wait_until(lambda: list(Path("runs").glob("tiny/*-02/waits")))
        os.kill(os.getpid(), signal.SIGTERM)

    with ThreadPoolExecutor() as pool:
        stopping = pool.submit(stop)
        code, out, err = call(main, *played(storage="journal"), "--jobs", "1")
        stopping.result()
    assert code == 143
    place = folder().relative_to(Path.cwd())
    assert err == f"lightseg: stopped by SIGTERM; go on with: python -m lightseg.search --resume {place}\n"
    finished = list(folder().parent.glob("*/metrics.json"))
    assert len(finished) == 2
    before = [file.stat().st_mtime_ns for file in finished]
    monkeypatch.setenv("WAITS", "none")
    code, out, _ = call(main, "tiny.yaml", "--study", "study.yaml", "--jobs", "1")
    assert code == 0
    head = (
        f"goes on with {place}; for a new search give --group NAME\nsearch {place}: 4 trials of which 2 are finished, "
    )
    assert out.startswith(head)
    assert re.search(r"trial 2 \(.*\): goes on", out)
    assert "trials: 4 finished" in out
    assert before == [file.stat().st_mtime_ns for file in finished]


@pytest.mark.slow
def test_pruned_trial__is_stopped(played, folder, call, monkeypatch):
    # the median pruner waits for five trials
    monkeypatch.setenv("WAITS", "-05")
    code, out, _ = call(main, *played(storage="journal", trials=6, pruner="median", winner_seeds=1))
    assert code == 0
    assert re.search(r"trial 5 \(.*\): pruned\n", out)
    assert report(folder())["trials"][5]["state"] == "pruned"


def test_changed_recipe__is_refused_when_it_goes_on(played, folder, call, monkeypatch):
    monkeypatch.setenv("REFUSES", "all")
    monkeypatch.setenv("CODE", "1")
    call(main, *played(storage="journal", trials=1))
    Path("tiny.yaml").write_text("{}")
    code, _, err = call(main, "--resume", str(folder()))
    assert code == 2
    assert "the recipe has changed since its first trials" in err


def test_search__goes_on_only_where_its_trials_would_lie_beside_it(played, folder, call, monkeypatch, tmp_path):
    monkeypatch.setenv("REFUSES", "all")
    monkeypatch.setenv("CODE", "1")
    call(main, *played(storage="journal", trials=1))
    (tmp_path / "other").mkdir()
    Path("tiny.yaml").rename(tmp_path / "other/tiny.yaml")
    monkeypatch.chdir(tmp_path / "other")
    code, _, err = call(main, "--resume", str(folder()))
    assert code == 2
    assert f"its missing runs would be made in {tmp_path}/other/runs/tiny, not beside it; go to the working" in err
    assert not Path("runs").exists()


# ---- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny.yaml"], "--study: is missing; give the file with the search space"),
        (["--study", "study.yaml"], "give a recipe, and the search space as --study FILE"),
        (["tiny.yaml", "--study", "study.yaml", "--jobs", "0"], "--jobs: 0: give the number of runs at a time"),
        (["tiny.yaml", "--study", "study.yaml", "--seeds", "0,1"], "--seeds: belongs to fit"),
        (["tiny.yaml", "--study", "study.yaml", "--lr", "1"], "no option 'lr'; did you mean --model.optimizer.lr?"),
        (
            ["tiny.yaml", "--study", "study.yaml", "--model.init_args.net.width=4"],
            "study.yaml: space.model.net.width: is given as --model.net.width, too",
        ),
        (["tiny.yaml", "--resume", "a"], "--resume a: the plan of this search decides what its trials are"),
    ],
)
def test_parse__mistake(files, arguments, message):
    files()
    with pytest.raises(UserError) as caught:
        parse(arguments)
    assert message in str(caught.value)


@pytest.mark.slow
def test_search__checks_each_value_by_the_parser_before_the_first_trial(files, call):
    arguments = files(space={"model.net.widht": [4, 8]})
    code, _, err = call(main, *arguments)
    assert code == 2
    assert "widht" in err
    assert "did you mean width?" in err
    arguments = files(space={"model.net": ["UNet", "UNett"]})
    code, _, err = call(main, *arguments)
    assert code == 2
    assert "UNett" in err
    assert not Path("runs").exists()


@pytest.mark.slow
def test_search__of_real_trials_goes_on_after_sigkill(files, folder, call, tmp_path):
    arguments = [*files(trials=2), "--jobs", "1"]
    process = ForkedProcess("lightseg.search", arguments, tmp_path, {**os.environ}, tmp_path / "output")
    wait_until(lambda: list(Path("runs").glob("tiny/*-01/git.json")), process)
    process.kill()
    process.wait()
    first = next(iter(Path("runs/tiny").glob("*-00"))) / "metrics.json"
    before = first.stat().st_mtime_ns
    code, _, err = call(main, *arguments)
    assert code == 0, err
    assert first.stat().st_mtime_ns == before
    result = report(folder())
    assert [trial["state"] for trial in result["trials"]] == ["complete"] * 2
    metrics = {run.parent.name: json.loads(run.read_text()) for run in folder().parent.glob("*/metrics.json")}
    scores = {trial["number"]: metrics[trial["run"]]["val/score"] for trial in result["trials"]}
    winner = result["winner"]
    assert winner["trial"] == max(scores, key=scores.get)
    assert winner["selection"]["val"]["value"] == pytest.approx(max(scores.values()))
    for split in ("val", "test"):
        values = [metrics[run][f"{split}/score"] for run in winner["runs"]]
        score = winner["retraining"][split]
        assert score["value"] == pytest.approx(sum(values) / 2)
        assert score["deviation"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
        assert score["low"] <= score["value"] <= score["high"]
