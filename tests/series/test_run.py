"""Several runs of one command; where it is about the series alone, the runs are played by a script."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import yaml

from lightseg.errors import ConfigError, UserError
from lightseg.files.atomic import locked
from lightseg.fit import run_series
from lightseg.metrics.per_image import PerImageResults
from lightseg.series.run import SeriesError
from tests.helpers.processes import wait_until

PYTHON = sys.executable


def children(process):
    """Numbers of the processes that a process has started and not yet waited for."""
    return [int(number) for number in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def times(folder):
    """When a played run began and ended."""
    return [float(line) for line in (folder / "times.txt").read_text().split()]


# ---- the plan, the runs and the table --------------------------------------------------------------------------------


def test_series__a_run_for_each_seed_in_one_group_and_the_table(played, compared, runs, commands, recipe, capfd):
    config = recipe()
    run_series([*played, "--seeds", "0,7", "--config", str(config)])
    folders, series = runs()
    stamp = series.name.removeprefix("series-")
    assert [folder.name for folder in folders] == [f"{stamp}-00", f"{stamp}-01"]
    options = f"{' '.join(played)} --config {config}"
    assert commands() == [f"{options} --seed_everything={seed} --group=played-{stamp}" for seed in (0, 7)]
    assert compared == [[str(series)]]
    assert sorted(file.name for file in series.iterdir()) == [".lock", "00.txt", "01.txt", "plan.json"]
    assert (series / "00.txt").read_text() == "epoch 1/2  step 3\n"
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == f"series {series}: 2 runs, 1 at a time"
    assert lines[1] == f"seed 0: begins, output in {series}/00.txt"
    assert lines[2].startswith("seed 0: finished in ")
    assert lines[2].endswith(" s, val score 0.5000")
    assert lines[-1] == f"series: {series}"


def test_series__plan_is_complete(played, compared, runs):
    run_series(
        [*played, "--seeds", "3", "--folds", "2", "--grid", "model.width=4,8", "--jobs", "2", "--group", "night"]
    )
    plan = json.loads((runs()[1] / "plan.json").read_text())
    recipe = plan.pop("recipe")
    assert len(recipe) == 64
    assert plan == {
        "arguments": played,
        "group": "night",
        "cores": max(1, len(os.sched_getaffinity(0)) // 2),
        "runs": [
            {"seed_everything": "3", "model.width": width, "data.folds": "2", "data.fold": fold}
            for width in ("4", "8")
            for fold in ("0", "1")
        ],
    }


def test_series__lies_where_the_recipe_says(played, compared, recipe, tmp_path, commands):
    overlay = recipe(f"{{runs_dir: {tmp_path / 'runs'}, group: night}}", "overlay.yaml")
    # the script knows no recipes
    run_series(["--config", str(recipe("name: other")), "--config", str(overlay), *played, "--seeds", "0"])
    assert commands()[0].endswith("--seed_everything=0 --group=night")


def test_series__is_not_kept_from_starting_by_what_lies_beside_its_runs(played, compared, tmp_path):
    for name, file, content in (
        ("old", "config.yaml", "a: [1"),
        ("series-old", "plan.json", "{"),
        ("series-older", "plan.json", '{"arguments": 3}'),
    ):
        (tmp_path / "runs/played" / name).mkdir(parents=True)
        (tmp_path / "runs/played" / name / file).write_text(content)
    run_series([*played, "--seeds", "0"])
    assert len(compared) == 1


def test_series__two_at_a_time_after_the_first_has_begun(played, compared, runs, variables, monkeypatch):
    monkeypatch.setenv("MEETS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-6f")
    run_series([*played, "--seeds", "0,1,2,3", "--jobs", "2"])
    begin, end = zip(*map(times, runs()[0]), strict=True)
    # two meet, and the third begins after one of them
    assert begin[1] < end[0]
    assert begin[2] >= min(end[0], end[1])
    assert begin[3] < end[2]
    shares = variables()
    assert sorted(share.pop("CUDA_VISIBLE_DEVICES") for share in shares) == ["5", "5", "GPU-6f", "GPU-6f"]
    # each has the precision that the first one chose
    assert [share.pop("LIGHTSEG_PRECISION", None) for share in shares] == [
        None,
        *["bf16-mixed:as in the first run of the series"] * 3,
    ]
    assert shares == [{"LIGHTSEG_CORES": "1"}] * 4


def test_series__of_one_at_a_time_leaves_cores_and_gpus_to_the_run(played, compared, variables, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    run_series([*played, "--seeds", "0,1", "--jobs", "1", "--data.folds", "3"])
    kept = {"LIGHTSEG_PRECISION": "bf16-mixed:as in the first run of the series"}
    assert variables() == [{"CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "0,1", **kept}]


# ---- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [7, 255])
def test_series__a_run_that_fails_does_not_stop_the_others(played, compared, runs, monkeypatch, code):
    monkeypatch.setenv("FAILS", "1")
    monkeypatch.setenv("CODE", str(code))
    with pytest.raises(SeriesError) as raised:
        run_series([*played, "--seeds", "0,1,2"])
    folders, series = runs()
    assert raised.value.exit_code == 1
    assert str(raised.value).splitlines() == [
        "1 of 3 runs failed:",
        f"  seed 1: failed with exit code {code}: the loss is not finite",
        f"    see {series}/01.txt",
        f"go on with: python -m lightseg.fit --resume {series}",
    ]
    assert [(folder / "metrics.json").exists() for folder in folders] == [True, False, True]
    # the table of those that are finished
    assert compared == [[str(series)]]


def test_series__input_that_no_run_can_begin_with_ends_it_and_leaves_nothing(played, compared, tmp_path, monkeypatch):
    monkeypatch.setenv("REFUSES", "all")
    with pytest.raises(ConfigError) as raised:
        run_series([*played, "--seeds", "0,1", "--jobs", "2"])
    assert str(raised.value).splitlines() == [
        "model.los: no such option",
        "so no run has begun; correct this, then repeat the command",
    ]
    assert not (tmp_path / "runs").exists()
    assert compared == []


def test_series__input_that_one_of_the_runs_cannot_begin_with(played, compared, runs, monkeypatch):
    monkeypatch.setenv("REFUSES", "1")
    with pytest.raises(SeriesError, match="seed 1: failed with exit code 2: model.los: no such option") as raised:
        run_series([*played, "--seeds", "0,1,2", "--jobs", "2"])
    assert raised.value.exit_code == 2
    assert len(runs()[0]) == 2


def test_series__a_comparison_that_fails_is_said(played, compared, monkeypatch):
    from lightseg import compare

    monkeypatch.setattr(compare, "main", lambda _: 2)
    with pytest.raises(SeriesError, match="the runs are finished, but could not be compared") as raised:
        run_series([*played, "--seeds", "0"])
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(("variable", "launcher"), [("WORLD_SIZE", "torchrun"), ("SLURM_NTASKS", "SLURM")])
def test_series__is_refused_under_several_processes(played, monkeypatch, tmp_path, variable, launcher):
    monkeypatch.setenv(variable, "2")
    with pytest.raises(ConfigError, match=f"{launcher} has started 2 processes.*a job of its own"):
        run_series([*played, "--seeds", "0,1"])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("line", ["name: 2", "group: 7", "runs_dir: [a]"])
def test_series__a_number_in_place_of_a_name_is_refused(recipe, line):
    with pytest.raises(ConfigError, match=rf"tiny.yaml: {line.partition(':')[0]}: must be text, got"):
        run_series(["--seeds", "0,1", "--config", str(recipe(line))])


# ---- going on --------------------------------------------------------------------------------------------------------


@pytest.fixture
def stopped(played, compared, runs, monkeypatch):
    """The command and the folder of a series whose second run of three was ended."""
    monkeypatch.setenv("FAILS", "1")
    monkeypatch.setenv("CODE", "143")
    command = [*played, "--seeds", "0,1,2"]
    with pytest.raises(SeriesError, match="seed 1: ended by SIGTERM"):
        run_series(command)
    monkeypatch.delenv("FAILS")
    compared.clear()
    return command, runs()[1]


@pytest.mark.parametrize("by", ["command", "resume"])
def test_series__that_was_stopped_goes_on(stopped, compared, runs, capfd, by):
    command, series = stopped
    before = runs()[0]
    capfd.readouterr()
    run_series(command if by == "command" else ["--resume", str(series), "--jobs", "2"])
    assert runs() == (before, series)
    assert [json.loads((folder / "metrics.json").read_text()) for folder in before] == [
        {"val/score": 0.5},
        {"resumed": 1},
        {"val/score": 0.5},
    ]
    out = capfd.readouterr().out
    assert f"series {series}: 3 runs of which 2 are finished, " in out
    assert "seed 1: goes on, output in" in out
    assert "seed 0:" not in out
    assert (f"goes on with {series}; for a new series give --group NAME\n" in out) == (by == "command")
    assert compared == [[str(series)]]


def test_series__that_is_finished_begins_anew_unless_its_group_is_given(played, compared, tmp_path):
    for _ in range(2):
        run_series([*played, "--seeds", "0"])
    assert len(list((tmp_path / "runs/played").glob("series-*"))) == 2
    for _ in range(2):
        run_series([*played, "--seeds", "0", "--group", "night"])
    assert len(list((tmp_path / "runs/played").glob("series-*"))) == 3
    # the table comes again
    assert compared[-1] == compared[-2]


def test_series__a_run_that_was_killed_as_it_began_begins_anew(stopped, runs):
    command, _ = stopped
    folder = runs()[0][1]
    (folder / "git.json").unlink()
    (folder / "stale").touch()
    run_series(command)
    assert json.loads((folder / "metrics.json").read_text()) == {"val/score": 0.5}
    assert not (folder / "stale").exists()


def test_series__of_another_recipe_is_another_one(played, compared, recipe, runs, monkeypatch):
    monkeypatch.setenv("REFUSES", "1")
    command = [*played, "--seeds", "0,1", "--config", str(recipe("data: {}"))]
    with pytest.raises(SeriesError):
        run_series(command)
    _, series = runs()
    recipe("data: {}  # changed")
    with pytest.raises(ConfigError, match=rf"--resume {series}: the recipe has changed, and runs are missing"):
        run_series(["--resume", str(series)])
    monkeypatch.delenv("REFUSES")
    run_series(command)
    assert len(list(series.parent.glob("series-*"))) == 2


def test_series__goes_on_only_where_its_missing_runs_would_lie_beside_it(stopped, monkeypatch, tmp_path):
    _, series = stopped
    moved = series.parent.with_name("moved")
    series.parent.rename(moved)
    folder = moved / f"{series.name.removeprefix('series-')}-01"
    # a run that has begun has its recipe and its folder
    run_series(["--resume", str(moved / series.name)])
    (folder / "metrics.json").unlink()
    (folder / "git.json").unlink()
    with pytest.raises(ConfigError, match=rf"its missing runs would be made in {series.parent}, not beside it"):
        run_series(["--resume", str(moved / series.name)])
    assert not series.parent.exists()


@pytest.mark.parametrize("word", ["--data.root=caf\udce9", "--data.root=\x1b[2J"])
def test_series__arguments_that_the_plan_cannot_hold_are_refused(played, word, tmp_path):
    with pytest.raises(ConfigError, match="has a control character, or bytes that are not UTF-8"):
        run_series([*played, "--seeds", "0,1", word])
    assert not (tmp_path / "runs").exists()


def test_series__resume_takes_no_other_options(stopped):
    _, series = stopped
    for option in (["--seeds", "0"], ["--model.width", "3"], ["--group", "g"]):
        with pytest.raises(ConfigError, match="the plan of this series decides what its runs are"):
            run_series(["--resume", str(series), *option])


HOLDER = """import sys, time
from pathlib import Path
from lightseg.files.atomic import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(3000)"""


@contextlib.contextmanager
def lock(folder):
    """Lock a folder by another process, which is killed at the end."""
    with subprocess.Popen([PYTHON, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        yield holder
        holder.kill()


def test_series__runs_once_at_a_time(stopped):
    command, series = stopped
    with lock(series), pytest.raises(UserError, match="another process runs this series"):
        run_series(command)


def test_series__waits_for_a_run_that_outlives_the_killed_series(stopped, runs, monkeypatch):
    command, _ = stopped
    folder, errors = runs()[0][1], io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)

    def end_it():
        wait_until(lambda: "waiting" in errors.getvalue())
        assert not (folder / "metrics.json").exists()
        holder.kill()

    with lock(folder) as holder, ThreadPoolExecutor() as pool:
        ending = pool.submit(end_it)
        run_series(command)
        ending.result()
    assert (folder / "metrics.json").exists()
    assert errors.getvalue() == f"{folder}: is still training, or stopping; waiting for its end\n"


def test_series__a_damaged_plan_is_named(stopped):
    _, series = stopped
    (series / "plan.json").write_text('{"arguments": [], "recipe": "", "group": "", "cores": 0, "runs": []}')
    with pytest.raises(UserError, match=r"plan.json: is damaged \(cores: Input should be greater than or equal to 1"):
        run_series(["--resume", str(series)])


# ---- signals and kills -----------------------------------------------------------------------------------------------


@pytest.fixture
def start(player, played):
    """Start a series in a process of its own, whose runs are played."""
    processes = []

    def popen(*options, **environment):
        code = f"""import signal, sys
from lightseg.fit import main
# what started the tests may have turned these off, as a shell does for its background
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
sys.executable = {str(player)!r}
sys.exit(main())"""
        processes.append(
            subprocess.Popen(
                [PYTHON, "-c", code, *played, *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        )
        return processes[-1]

    yield popen
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_series__a_signal_reaches_all_runs_and_stops_the_series(start, tmp_path, runs, sent):
    parent = start("--seeds", "0,1,2", "--jobs", "2", WAITS="all")
    wait_until(lambda: len(list((tmp_path / "runs").glob("*/*/ready"))) == 2, parent)
    parent.send_signal(sent)
    _, err = parent.communicate()
    folders, series = runs()
    assert parent.returncode == 128 + sent
    assert err == f"lightseg: stopped by {sent.name}; go on with: python -m lightseg.fit --resume {series}\n"
    assert len(folders) == 2


def test_series__of_a_job_that_runs_out_of_time_is_queued_again_once(start, tmp_path):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\necho $* >> {tmp_path}/asked\n")
    scontrol.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    parent = start("--seeds", "0,1", "--jobs", "2", WAITS="all", PATH=path, SLURM_JOB_ID="7")
    wait_until(lambda: len(list((tmp_path / "runs").glob("*/*/ready"))) == 2, parent)
    parent.send_signal(signal.SIGUSR1)
    parent.communicate()
    assert parent.returncode == 128 + signal.SIGUSR1
    assert (tmp_path / "asked").read_text() == "requeue 7\n"


def test_series__a_run_that_is_killed_does_not_stop_the_others(start, tmp_path, runs):
    parent = start("--seeds", "0,1,2", "--jobs", "2", WAITS="1")
    # it may begin to wait after the others have ended
    wait_until(
        lambda: [len(list((tmp_path / "runs").glob(f"*/*/{name}"))) for name in ("metrics.json", "ready")] == [2, 1],
        parent,
    )
    (waiting,) = (tmp_path / "runs").glob("*/*/ready")
    wait_until(lambda: len(children(parent)) == 1, parent)
    os.kill(children(parent)[0], signal.SIGKILL)
    _, err = parent.communicate()
    assert parent.returncode == 1
    assert "1 of 3 runs failed:\n  seed 1: ended by SIGKILL: epoch 1/2 step 3\n" in err
    assert waiting.parent == runs()[0][1]


# ---- real runs -------------------------------------------------------------------------------------------------------


def outcome(folder):
    """What a run has computed: its metrics but for times, its counts of each image, and its best weights."""
    metrics = json.loads((folder / "metrics.json").read_text())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for numbers in (metrics, *rows):
        for name in ("train/seconds", "train/images_per_s"):
            numbers.pop(name, None)
    counts = [PerImageResults.read(folder, split).rows.tolist() for split in ("val", "test")]
    weights = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    return metrics, rows, counts, {name: tensor.numpy().tobytes() for name, tensor in weights.items()}


@pytest.mark.slow
def test_series__in_two_jobs_equals_one_run_after_another(launch, fit, recipe, tmp_path):
    runs = ("--seeds", "3", "--folds", "2", "--grid", "model.net.width=4,5")
    done = launch("--config", recipe(), *runs, "--jobs", "2", OMP_NUM_THREADS="1")
    out, err = done.communicate()
    assert done.returncode == 0, err + out
    # the table comes last
    table = out.rpartition(" finished in ")[2]
    assert "mIoU" in table
    assert "★" in table
    folders = sorted(file.parent for file in (tmp_path / "runs/tiny").glob("*/metrics.json"))
    assert len({yaml.safe_load((folder / "config.yaml").read_text())["group"] for folder in folders}) == 1
    first, second = (PerImageResults.read(folder, "val").images for folder in folders[:2])
    assert len(set(first + second)) == len(first) + len(second) == 12 + 5
    expected = []
    for width in (4, 5):
        for fold in (0, 1):
            options = ("--seed_everything", 3, "--data.folds", 2, "--data.fold", fold, "--model.net.width", width)
            expected.append(outcome(fit("--config", recipe(), *options).folder))
    assert [outcome(folder) for folder in folders] == expected
    # they are not all the same run
    assert len({str(run[3]) for run in expected}) == 4


PAUSE = """import os, time
from pathlib import Path
from lightning import Callback
from lightseg.callbacks import GracefulStop

class Pause(Callback):
    def on_train_batch_end(self, trainer, *_):
        stop = next(callback for callback in trainer.callbacks if isinstance(callback, GracefulStop))
        # until the test lets it go on, or a signal stops it
        while trainer.current_epoch >= int(Path(os.environ["EPOCHS"]).read_text() or 0) and not stop.received:
            time.sleep(0.01)
"""


@pytest.mark.slow
def test_series__of_killed_processes_ends_as_if_nothing_had_been_killed(
    launch, fit, recipe, own_module, tmp_path, monkeypatch
):
    own_module("pause", PAUSE)
    runs, epochs = tmp_path / "runs", tmp_path / "epochs"
    options = ("--config", recipe(), "--trainer.max_epochs", "3", "--trainer.callbacks+=pause.Pause")

    def start(paused_at):
        epochs.write_text(paused_at)
        return launch(*options, "--seeds", "0,1", "--jobs", "2", "--name", "killed", EPOCHS=str(epochs))

    def sizes():
        return [len(file.read_bytes()) for file in sorted(runs.glob("killed/*/metrics.jsonl"))]

    killed = start("1")
    wait_until(lambda: len(list(runs.glob("killed/*/checkpoints/last.ckpt"))) == 2, killed)
    killed.kill()
    killed.wait()
    folders = sorted(file.parent for file in runs.glob("killed/*/config.yaml"))
    # the runs notice it, save their state and stop
    wait_until(lambda: all(map(is_free, folders)))
    assert not list(runs.glob("killed/*/metrics.json"))
    before = sizes()

    again = start("2")
    wait_until(lambda: all(now > then for now, then in zip(sizes(), before, strict=True)), again)
    os.kill(children(again)[0], signal.SIGKILL)
    epochs.write_text("3")
    out, err = again.communicate()
    assert again.returncode == 1, err + out
    assert "1 of 2 runs failed:\n  seed " in err

    last = start("3")
    out, err = last.communicate()
    assert last.returncode == 0, err + out
    assert "2 runs of which 1 is finished" in out
    assert sorted(file.parent for file in runs.glob("killed/*/config.yaml")) == folders

    monkeypatch.setenv("EPOCHS", str(epochs))
    expected = [outcome(fit(*options, "--seed_everything", seed).folder) for seed in (0, 1)]
    assert [outcome(folder) for folder in folders] == expected


def is_free(folder):
    """Whether no process trains in a run folder."""
    with contextlib.suppress(UserError), locked(folder):
        return True
    return False
