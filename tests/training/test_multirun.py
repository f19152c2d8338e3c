"""Several runs of one command; where it is about the series alone, the runs are played by a script."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from lightseg.errors import ConfigError
from lightseg.fit import main, run_series
from lightseg.metrics.per_image import PerImageResults
from lightseg.training.multirun import RepeatError

PYTHON = sys.executable

PLAYER = """#!{python}
import argparse, os, pathlib, signal, sys, time

parser = argparse.ArgumentParser()
for name in ("seed_everything", "group", "runs_dir", "name", "data.folds", "data.fold", "config", "resume"):
    parser.add_argument("--" + name)
args = parser.parse_args(sys.argv[3:])
if args.resume:
    pathlib.Path(args.resume, "metrics.json").write_text('{{"resumed": 1}}')
    sys.exit(0)
folder = pathlib.Path(args.runs_dir, args.name, f"{{time.time_ns()}}")
folder.mkdir(parents=True)
(folder / "config.yaml").write_text(f"group: {{args.group}}\\nseed_everything: {{args.seed_everything}}\\n")
(folder / "command.txt").write_text(" ".join(["python", *sys.argv[1:]]))
if os.environ.get("WAIT"):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    (folder / "ready").touch()
    time.sleep(3000)
if args.seed_everything == os.environ.get("FAILS"):
    sys.exit(int(os.environ["CODE"]))
(folder / "metrics.json").write_text("{{}}")
"""


@pytest.fixture
def played(tmp_path, monkeypatch):
    """Let a script play the runs; returns the options of the command."""
    player = tmp_path / "player"
    player.write_text(PLAYER.format(python=sys.executable))
    player.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(player))
    return ["--runs_dir", str(tmp_path / "runs"), "--name", "played"]


@pytest.fixture
def compared(monkeypatch):
    """What is handed to the comparison, which is not made."""
    from lightseg import compare

    handed = []
    monkeypatch.setattr(compare, "main", lambda args: handed.append(args) or 0)
    return handed


def runs(tmp_path):
    """The run folders, and the command of each, in their order."""
    folders = sorted((tmp_path / "runs").glob("*/*"))
    return folders, [(folder / "command.txt").read_text().removeprefix("python ") for folder in folders]


def test_multirun__a_run_for_each_seed_in_one_group_and_the_table(played, compared, recipe, tmp_path):
    config = recipe()
    run_series([*played, "--seeds", "0,7", "--config", str(config)])
    folders, commands = runs(tmp_path)
    groups = {yaml.safe_load((folder / "config.yaml").read_text())["group"] for folder in folders}
    assert len(groups) == 1
    (group,) = groups
    assert group.startswith("played-")
    options = " ".join(played)
    assert commands == [
        f"-m lightseg.fit {options} --config {config} --seed_everything {seed} --group {group}" for seed in (0, 7)
    ]
    assert compared == [[str(folder) for folder in folders]]


def test_multirun__finds_the_runs_where_the_recipe_puts_them(played, compared, recipe, tmp_path):
    overlay = recipe(f"{{runs_dir: {tmp_path / 'runs'}, group: night}}", "overlay.yaml")
    # the script knows no recipes
    run_series(["--config", str(recipe("name: other")), "--config", str(overlay), *played, "--seeds", "0"])
    assert compared == [[str(folder) for folder in runs(tmp_path)[0]]]
    assert runs(tmp_path)[1][0].endswith("--seed_everything 0 --group night")


def test_multirun__is_not_kept_from_starting_by_what_lies_beside_its_runs(played, compared, tmp_path):
    for name, content in (("old", "a: [1"), ("older", "- 1"), ("oldest", "group.a: 1")):
        (tmp_path / "runs/played" / name).mkdir(parents=True)
        (tmp_path / "runs/played" / name / "config.yaml").write_text(content)
    run_series([*played, "--seeds", "0"])
    (folders,) = compared
    assert len(folders) == 1


def test_multirun__every_fold_at_every_seed(played, compared, tmp_path):
    run_series([*played, "--folds=2", "--seeds=1,2", "--group", "g"])
    ends = [command.partition("--seed_everything ")[2] for command in runs(tmp_path)[1]]
    folds = [f"{seed} --data.folds 2 --data.fold {fold} --group g" for seed in (1, 2) for fold in (0, 1)]
    assert ends == folds


def test_multirun__input_that_no_run_can_begin_with_is_said_alone(tmp_path, recipe, capfd):
    # two real commands, of which the second is not tried
    with pytest.raises(RepeatError) as raised:
        run_series(["--config", str(recipe()), "--seeds", "0,1", "--runs_dir", str(tmp_path), "--model.los", "ce"])
    assert raised.value.exit_code == 2
    assert "give the command again" in str(raised.value)
    assert "--seed_everything 1" not in str(raised.value)
    assert capfd.readouterr().err.count("did you mean loss?") == 1


@pytest.mark.parametrize("code", [7, 255])
def test_multirun__a_run_that_fails_ends_the_series_and_says_how_to_go_on(
    played, compared, tmp_path, monkeypatch, code
):
    monkeypatch.setenv("FAILS", "1")
    monkeypatch.setenv("CODE", str(code))
    with pytest.raises(RepeatError) as raised:
        run_series([*played, "--seeds", "0,1,2", "--group", "g"])
    assert raised.value.exit_code == code
    first, failed = runs(tmp_path)[0]
    assert str(raised.value).splitlines() == [
        f"a run ended with exit code {code}; finished:",
        f"  {first}",
        f"go on with: python -m lightseg.fit {' '.join(played)} --seeds 0,1,2 --group g",
    ]
    assert compared == []
    assert not (failed / "metrics.json").exists()


def test_multirun__that_was_stopped_goes_on_by_one_command(played, compared, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("FAILS", "1")
    monkeypatch.setenv("CODE", "143")
    command = [*played, "--seeds", "0,1,2", "--group", "g"]
    with pytest.raises(RepeatError):
        run_series(command)
    first, stopped = runs(tmp_path)[0]
    monkeypatch.delenv("FAILS")
    capfd.readouterr()
    run_series(command)
    folders = runs(tmp_path)[0]
    assert folders[:2] == [first, stopped]
    assert len(folders) == 3
    assert [(folder / "metrics.json").read_text() for folder in folders] == ["{}", '{"resumed": 1}', "{}"]
    out = capfd.readouterr().out
    assert f"run 1 of 3: --seed_everything 0, is finished in {first}" in out
    assert f"run 2 of 3: --seed_everything 1, goes on in {stopped}" in out
    assert compared == [[str(folder) for folder in folders]]


def test_multirun__a_comparison_that_fails_is_said(played, compared, monkeypatch):
    from lightseg import compare

    monkeypatch.setattr(compare, "main", lambda _: 2)
    with pytest.raises(RepeatError, match="the runs are finished, but could not be compared") as raised:
        run_series([*played, "--seeds", "0"])
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0,x"], "--seeds: 0,x: give whole numbers from 0 on, each once, such as 0,1,2"),
        (["--seeds", "1,2,1"], "each once"),
        (["--seeds", "-1"], "from 0 on"),
        (["--seeds", "0,"], "such as 0,1,2"),
        (["--seeds"], "--seeds: expected one argument"),
        (["--seeds", "0", "--seed_everything", "1"], "give --seeds or --seed_everything, not both"),
        (["--seeds", "0", "--resume", "runs/a"], "--resume goes on with one run"),
        (["--folds", "1"], "--folds: 1: give a number of folds from 2 on"),
        (["--folds", "many"], "from 2 on"),
        (["--folds", "5", "--data.fold", "1"], "give --folds or --data.fold, not both"),
        (["--folds", "5", "--data.init_args.folds=3"], "give --folds or --data.fold, not both"),
    ],
)
def test_multirun__bad_options(capfd, words, message):
    assert main(words) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("variable", "launcher"), [("WORLD_SIZE", "torchrun"), ("SLURM_NTASKS", "SLURM")])
def test_multirun__is_refused_under_several_processes(played, monkeypatch, tmp_path, variable, launcher):
    monkeypatch.setenv(variable, "2")
    with pytest.raises(ConfigError, match=f"{launcher} has started 2 processes.*a job of its own"):
        run_series([*played, "--seeds", "0,1"])
    monkeypatch.setenv(variable, "1")
    assert runs(tmp_path)[0] == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_multirun__a_signal_reaches_the_run_and_ends_the_series(played, tmp_path, sent):
    code = f"""import signal, sys
from lightseg.fit import main
# what started the tests may have turned it off, as a shell does for its background
signal.signal({int(sent)}, signal.SIG_DFL)
sys.executable = {str(tmp_path / "player")!r}
sys.exit(main())"""
    environment = {**os.environ, "WAIT": "1"}
    parent = subprocess.Popen(
        [PYTHON, "-c", code, *played, "--seeds", "0,1", "--group", "g"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        while not list((tmp_path / "runs").glob("*/*/ready")):
            assert parent.poll() is None, parent.stderr.read()
            time.sleep(0.05)
        parent.send_signal(sent)
        _, err = parent.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
    assert parent.returncode == 128 + sent
    assert f"lightseg: error: a run was stopped by {sent.name}; finished:\n  none\ngo on with: " in err
    assert err.splitlines()[-1].endswith("--seeds 0,1 --group g")
    assert "Traceback" not in err
    assert len(runs(tmp_path)[0]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", "1000000000"], "1,000,000,000 runs, one after another; give 10,000 at most"),
        (["--folds", "5001", "--seeds", "0,1"], "10,002 runs"),
    ],
)
def test_multirun__too_many_runs_are_refused_before_they_are_listed(options, message):
    with pytest.raises(ConfigError, match=message):
        run_series(options)


@pytest.mark.parametrize("line", ["name: 2", "group: 7", "runs_dir: [a]"])
def test_multirun__a_number_in_place_of_a_name_is_refused(recipe, line):
    with pytest.raises(ConfigError, match=rf"tiny.yaml: {line.partition(':')[0]}: must be text, got"):
        run_series(["--seeds", "0,1", "--config", str(recipe(line))])


# ---- real runs -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_multirun__folds_of_shapes(launch, recipe, tmp_path):
    done = launch("--config", recipe(), "--trainer.max_epochs", "1", "--folds", "2", "--seeds", "3")
    out, err = done.communicate()
    assert done.returncode == 0, err
    folders = sorted((tmp_path / "runs/tiny").iterdir())
    configs = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in folders]
    seeds_and_folds = [(config["seed_everything"], config["data"]["init_args"]["fold"]) for config in configs]
    assert seeds_and_folds == [(3, 0), (3, 1)]
    assert len({config["group"] for config in configs}) == 1
    first, second = (PerImageResults.read(folder, "val").images for folder in folders)
    assert len(set(first + second)) == len(first) + len(second) == 12 + 5
    # the table comes last, behind the last line of the last run
    assert "mIoU" in out.partition(f"run: {folders[-1]}\n")[2]


@pytest.mark.slow
def test_multirun__a_real_run_is_stopped_in_order(launch, recipe, tmp_path):
    started = launch("--config", recipe(), "--trainer.max_epochs", "5000", "--seeds", "0,1")
    while not list((tmp_path / "runs").glob("*/*/checkpoints/last.ckpt")):
        assert started.poll() is None
        time.sleep(0.1)
    started.send_signal(signal.SIGTERM)
    _, err = started.communicate()
    assert started.returncode == 128 + signal.SIGTERM
    (_folder,) = (tmp_path / "runs/tiny").iterdir()
    assert "lightseg: stopped by SIGTERM; go on with" in err
    assert "go on with: python -m lightseg.fit --config" in err
    assert "Traceback" not in err
