"""Trainings under real signals: kills, resumes, dying ranks, several processes."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import lightseg
from lightseg.data import Shapes
from tests.helpers.dying_worker import DYING_WORKER_RECIPE, dying_worker_source
from tests.helpers.forked_process import run_forked
from tests.helpers.processes import DDP, PATIENCE, wait_for_run, wait_until
from tests.helpers.small_disk import run_on_small_disk
from tests.helpers.stateful_run import assert_same_run, read_logged_values

pytestmark = pytest.mark.slow
REFERENCES = {}


@pytest.fixture
def reference_run(crashing_recipe, fit, launch):
    """The folder of a run that nothing happened to, with some options; made once."""

    def run(*options):
        if options not in REFERENCES:
            arguments = ["--config", crashing_recipe, *options]
            REFERENCES[options] = wait_for_run(launch(*arguments)) if "ddp" in options else fit(*arguments).folder
        return REFERENCES[options]

    return run


def folder_of(process, tmp_path):
    """The run folder of a process, as soon as it trains."""
    wait_until(lambda: list(tmp_path.glob("runs/*/*/metrics.jsonl")), process)
    (log,) = tmp_path.glob("runs/*/*/metrics.jsonl")
    return log.parent


def sleep_until(moment, folder, process):
    """Wait for a random one of the 44 lines of the log, and then some more."""
    line = random.Random(moment).randint(1, 40)
    wait_until(lambda: len((folder / "metrics.jsonl").read_text().splitlines()) >= line, process)
    time.sleep(random.Random(moment).uniform(0, 0.05))


# so that a kill from outside never comes too late
PAUSE_AT_END = {"CRASH": "on_train_end:1", "CRASH_BY": "pause", "RELEASE": "never"}


PHASES = [
    *("on_before_backward:9", "on_train_batch_start:15", "on_train_batch_end:17", "write:2", "write:5", "write:7"),
    *("on_validation_batch_start:3", "on_validation_end:2", "on_train_epoch_end:1", "on_train_epoch_start:4"),
]


@pytest.mark.parametrize("moment", [*PHASES, *range(4)])
def test_kill__anywhere_gives_what_the_whole_run_gives(crashing_recipe, launch, reference_run, tmp_path, moment):
    options = ["--data.num_workers", "2"]
    by_itself = {"CRASH": moment, "CRASH_BY": "kill"}
    killed = launch("--config", crashing_recipe, *options, **(by_itself if moment in PHASES else PAUSE_AT_END))
    folder = folder_of(killed, tmp_path)
    if moment not in PHASES:
        sleep_until(moment, folder, killed)
        killed.kill()
    killed.wait()
    assert killed.returncode == -signal.SIGKILL
    wait_for_run(launch("--resume", folder))
    assert_same_run(folder, reference_run(*options))


@pytest.mark.parametrize("moment", ["on_before_backward:9", "write:3", "on_validation_batch_start:2", 0])
def test_kill__of_two_processes(crashing_recipe, launch, reference_run, tmp_path, moment):
    options = [*DDP, "--data.num_workers", "1"]
    is_random = isinstance(moment, int)
    by_itself = {"CRASH": moment, "CRASH_BY": "kill"}
    killed = launch("--config", crashing_recipe, *options, **(PAUSE_AT_END if is_random else by_itself))
    folder = folder_of(killed, tmp_path)
    if is_random:
        sleep_until(moment, folder, killed)
    else:
        killed.wait()
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    wait_for_run(launch("--resume", folder))
    assert_same_run(folder, reference_run(*options))


@pytest.mark.parametrize("devices", [[], DDP], ids=["one", "two"])
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP])
def test_signal__saves_and_stops_between_two_steps(crashing_recipe, launch, reference_run, tmp_path, sent, devices):
    # it waits at a late step for the signal, which other work may delay
    release = tmp_path / "release"
    pause = {"CRASH": "on_train_batch_end:16", "CRASH_BY": "pause", "RELEASE": str(release)}
    stopped = launch("--config", crashing_recipe, *devices, "--save_every_n_steps", "1000", **pause)
    folder = folder_of(stopped, tmp_path)
    stopped.send_signal(sent)
    release.touch()
    _, err = stopped.communicate()
    assert stopped.returncode == 128 + sent
    assert f"stopped by {sent.name}" in err
    assert f"--resume {folder}" in err
    assert "Traceback" not in err
    saved = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert 0 < saved < 20
    assert max(line["step"] for line in read_logged_values(folder)) == saved - 1
    wait_for_run(launch("--resume", folder))
    assert_same_run(folder, reference_run(*devices))


def test_resume__on_another_number_of_processes_goes_on_with_the_same_stream(
    crashing_recipe, fit, launch, tmp_path, own_module, monkeypatch
):
    own_module("crash", RECORD)
    monkeypatch.setenv("RECORD", str(tmp_path / "whole"))
    reference = fit("--config", crashing_recipe).folder
    killed = launch("--config", crashing_recipe, RECORD=str(tmp_path / "killed"), DIE_AT="7")
    killed.wait()
    (folder,) = set(tmp_path.glob("runs/*/*")) - {reference}
    process = launch("--resume", folder, *DDP, RECORD=str(tmp_path / "killed"))
    out, _ = process.communicate()
    assert "goes on with another trainer.devices: auto -> 2" in out
    assert process.returncode == 0
    assert stream(tmp_path / "killed") == stream(tmp_path / "whole")


RECORD = """
import hashlib, os, pathlib, signal
import lightning as L

class Crash(L.Callback):
    def on_train_batch_start(self, trainer, task, batch, batch_idx):
        if trainer.global_step == int(os.environ.get("DIE_AT", -1)):
            os.kill(os.getpid(), signal.SIGKILL)
        folder = pathlib.Path(os.environ["RECORD"])
        folder.mkdir(exist_ok=True)
        samples = [
            (int(i), hashlib.sha256(x.numpy().tobytes()).hexdigest(), hashlib.sha256(y.numpy().tobytes()).hexdigest())
            for i, x, y in zip(batch["index"], batch["image"], batch["target"])
        ]
        # a step that is trained again after a kill overwrites what it left
        name = f"{trainer.global_step:04}-{trainer.world_size}-{trainer.global_rank}"
        (folder / name).write_text(repr(samples))
"""


def stream(folder):
    """The samples of every step in global order: rank r of w has positions r, r + w, … of each global batch."""
    steps = {}
    for file in sorted(folder.iterdir()):
        step, world, rank = map(int, file.name.split("-"))
        steps.setdefault((step, world), {})[rank] = eval(file.read_text())
    merged = {}
    for (step, _), shares in sorted(steps.items()):
        merged[step] = [sample for together in zip(*_in_order(shares), strict=True) for sample in together]
    return merged


def _in_order(shares):
    return [shares[rank] for rank in sorted(shares)]


@pytest.mark.parametrize(("workers", "devices"), [(4, 1), (0, 2), (2, 3)])
def test_stream__is_one_for_any_workers_and_processes(
    crashing_recipe, fit, launch, tmp_path, own_module, monkeypatch, workers, devices
):
    own_module("crash", RECORD)
    options = ["--data.batch_size", "6", "--trainer.max_epochs", "2"]
    how = ["--data.num_workers", workers, "--trainer.devices", devices]
    how += ["--trainer.strategy", "ddp" if devices > 1 else "auto"]
    monkeypatch.setenv("RECORD", str(tmp_path / "reference"))
    assert fit("--config", crashing_recipe, *options).code == 0
    wait_for_run(launch("--config", crashing_recipe, *options, *how, RECORD=str(tmp_path / "other")))
    assert stream(tmp_path / "other") == stream(tmp_path / "reference")
    assert len(stream(tmp_path / "other")) == 6


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("die", "rank 1 was killed by SIGKILL"),
        ("raise", "images/a.png: broken"),
        # the other one does not find out by itself
        ("die while the other hangs", "rank 1 was killed by SIGKILL"),
    ],
)
def test_rank__that_dies_takes_the_others_down_and_is_named(crashing_recipe, launch, own_module, does, message):
    own_module("crash", RANK)
    process = launch("--config", crashing_recipe, *DDP, RANK_DOES=does)
    # one that hangs would do so for much longer
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert message in err + out
    assert "rank 1" in err
    assert "Traceback" not in err


RANK = """
import os, signal, time
import lightning as L
from lightseg.errors import DataError

class Crash(L.Callback):
    def on_train_batch_start(self, trainer, task, batch, batch_idx):
        if trainer.global_rank == int(os.environ.get("WHICH", 1)) and trainer.global_step == 6:
            if os.environ["RANK_DOES"].startswith("die"):
                os.kill(os.getpid(), signal.SIGKILL)
            raise DataError("images/a.png: broken")
        if "hangs" in os.environ["RANK_DOES"] and trainer.global_step == 6:
            time.sleep(3000)
"""


@pytest.mark.parametrize("when", ["it is imported", "training begins"])
def test_rank__that_dies_before_training_leaves_no_folder(crashing_recipe, launch, own_module, tmp_path, when):
    own_module("crash", EARLY)
    process = launch("--config", crashing_recipe, *DDP, WHEN=when)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "rank 1 failed with exit code 3" in err
    assert "--resume" not in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


EARLY = """
import os
import lightning as L

def die(when):
    if os.environ["WHEN"] == when and os.environ.get("LOCAL_RANK", "0") == "1":
        os._exit(3)

die("it is imported")

class Crash(L.Callback):
    def on_train_start(self, *_):
        die("training begins")
"""


def test_rank__the_first_one_that_dies_leaves_no_orphans(crashing_recipe, launch, own_module):
    own_module("crash", RANK)
    process = launch("--config", crashing_recipe, *DDP, RANK_DOES="die", WHICH="0")
    process.wait()
    wait_until(lambda: not members(process.pid))


def members(group):
    """The processes of a group that are alive."""
    listed = subprocess.run(["ps", "-o", "pid=,stat=", "-g", str(group)], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if "Z" not in line.split()[1]]


def test_loading_process__that_is_killed_is_named_with_its_file(recipe, launch, own_module):
    own_module("dying_worker", dying_worker_source(5))
    process = launch("--config", recipe(DYING_WORKER_RECIPE + "trainer: {accelerator: cpu, max_epochs: 1}"), *NO_SANITY)
    _, err = process.communicate()
    assert process.returncode == 1
    assert re.search(r"a loading process died( \(signal: Killed\))? while it was at train/5\.png", err)
    assert "Traceback" not in err


NO_SANITY = ["--trainer.num_sanity_val_steps", "0"]


# with no room at all even the table of what was logged cannot be written at the end, which must not hide the reason
@pytest.mark.parametrize("room", [16384, 0])
def test_disk__full_keeps_the_checkpoint_before(room, crashing_recipe, own_module, tmp_path):
    own_module("crash", FILLING.format(path=tmp_path / "disk/rest", room=room))
    fit = f"{sys.executable} -m lightseg.fit --config {crashing_recipe} --runs_dir disk/runs --save_every_n_steps 1"
    done = run_on_small_disk(tmp_path, "4m", f'{fit}; echo "exit code $?"; cp -r disk/runs runs')
    assert "exit code 1" in done.stdout, done.stderr
    assert re.search(r"checkpoints/\S+: cannot be written: No space left on device", done.stderr)
    assert "Traceback" not in done.stderr
    folder = next(tmp_path.glob("runs/*/*"))
    lightseg.load(folder / "checkpoints/last.ckpt", trust=True)
    lightseg.load(folder / "checkpoints/previous.ckpt", trust=True)


FILLING = """
import contextlib
import lightning as L

class Crash(L.Callback):
    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == 7:
            with open("{path}", "wb", buffering=0) as rest:
                with contextlib.suppress(OSError):
                    while rest.write(bytes(4096)):
                        pass
                rest.truncate(rest.tell() - {room})
"""


def test_torchrun__a_killed_process_restarts_the_job_which_ends_the_same(
    crashing_recipe, reference_run, own_module, tmp_path
):
    reference = reference_run(*DDP)
    own_module("crash", ONCE)
    killed = torchrun(crashing_recipe, tmp_path / "killed")
    assert_same_run(killed, reference)
    assert len((killed / "resumes.jsonl").read_text().splitlines()) == 1


ONCE = """
import os, signal
import lightning as L

class Crash(L.Callback):
    def on_train_batch_end(self, trainer, *_):
        is_first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if is_first and trainer.global_rank == 1 and trainer.global_step == 8:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def torchrun(recipe, runs):
    """Train on two nodes of one process each, both on this machine; the folder of the one run there is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    node = (
        f"-m torch.distributed.run --nnodes 2 --nproc_per_node 1 --max-restarts 3 --rdzv_backend c10d --rdzv_id {port}"
    )
    node += f" --rdzv_endpoint 127.0.0.1:{port} -m lightseg.fit --config {recipe} --runs_dir {runs}"
    node += " --trainer.devices 1 --trainer.num_nodes 2 --trainer.strategy ddp"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    nodes = [
        subprocess.Popen(
            [sys.executable, *node.split()], stderr=subprocess.PIPE, env=environment, cwd=recipe.parent, text=True
        )
        for _ in range(2)
    ]
    for process in nodes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    (folder,) = runs.glob("*/*")
    return folder


SHARED = """
base: [configs/data/shapes.yaml, configs/net/unet.yaml]
model:
  init_args:
    net: {init_args: {width: 4, depth: 2, norm: none}}
    loss: {ce: 1.0, focal: 0.5}
    class_weights: median_frequency
    optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.1, momentum: 0.9}}
data:
  init_args: {image_size: 32, train_size: 40, val_size: 7, test_size: 7, batch_size: 8, void_border: 3, num_workers: 0}
trainer: {accelerator: cpu, max_epochs: 4, log_every_n_steps: 1}
"""


PIXELS, ALL = "{ce: 1.0, focal: 0.5}", "{ce: 1.0, focal: 0.5, dice: 1.0}"
ACCUMULATED = ["--trainer.accumulate_grad_batches", "2"]


@pytest.fixture
def share(recipe, fit, launch, own_module, tmp_path):
    """Train as one batch and as some options share it; return the losses and the first gradients of both."""
    own_module("gradients", GRADIENTS)

    def run(loss, precision, *options):
        results = []
        for name, more in (("reference", []), ("shared", options)):
            file = tmp_path / f"{name}.pt"
            callback = [f"--trainer.callbacks+={CALLBACK}", f"--trainer.callbacks.path={file}"]
            command = ["--config", recipe(SHARED), "--model.loss", loss, "--trainer.precision", precision, *callback]
            folder = wait_for_run(launch(*command, *more)) if "ddp" in more else fit(*command, *more).folder
            losses = [line["train/loss"] for line in lines(folder) if "train/loss" in line]
            results.append((losses, torch.load(file)))
        return results

    return run


CALLBACK = "gradients.Gradients"
GRADIENTS = """
import lightning as L
import torch

class Gradients(L.Callback):
    def __init__(self, path: str):
        self.path = path

    def on_before_optimizer_step(self, trainer, task, _optimizer):
        if trainer.is_global_zero and trainer.global_step == 0:
            torch.save({name: value.grad.clone() for name, value in task.net.named_parameters()}, self.path)
"""


# in float32 rounding would decide: kernels add up in another order for fewer images, and training amplifies that
@pytest.mark.parametrize(("how", "loss"), [(DDP, ALL), (ACCUMULATED, PIXELS)], ids=["two processes", "two batches"])
def test_loss__does_not_depend_on_how_a_batch_is_shared(share, how, loss):
    (expected, _), (losses, _) = share(loss, "64-true", *how)
    assert len(expected) == len(losses) == 20
    assert expected[-1] < expected[0]
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("how", "loss"), [(DDP, ALL), (ACCUMULATED, PIXELS)], ids=["two processes", "two batches"])
def test_gradient__of_the_first_step_in_float32(share, how, loss):
    (_, expected), (_, gradients) = share(loss, "32-true", "--trainer.max_steps", "1", *how)
    assert max(gradient.abs().max() for gradient in expected.values()) > 0.01
    torch.testing.assert_close(gradients, expected, rtol=0, atol=1e-6)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_evaluation__counts_every_image_once_on_one_two_and_three_processes(recipe, fit, own_module, tmp_path):
    own_module("evaluate", EVALUATE)
    folder = fit("--config", recipe(SHARED), "--trainer.max_epochs", "1").folder
    matrices, images = [], []
    for devices in (1, 2, 3):
        given = [str(folder), str(devices)]
        done = run_forked("evaluate", given, tmp_path, {**os.environ}, tmp_path / f"output{devices}")
        assert done.returncode == 0, done.stderr
        matrices.append(np.loadtxt(tmp_path / f"{devices}.csv", np.int64))
        images.append((tmp_path / f"{devices}_images.csv").read_text())
    assert (matrices[0] == matrices[1]).all()
    assert (matrices[0] == matrices[2]).all()
    assert images[0] == images[1] == images[2]
    data = Shapes(image_size=32, test_size=7, void_border=3)
    assert (matrices[0].sum(1) == data.class_counts("test")).all()


EVALUATE = """
import sys
import lightning as L
import numpy as np
import lightseg
from lightseg.data import Shapes

if __name__ == "__main__":
    folder, devices = sys.argv[1], int(sys.argv[2])
    task = lightseg.load(folder)
    # as many images at once on each of them: logits are rounded otherwise in a batch of another size
    data = Shapes(image_size=32, test_size=7, void_border=3, batch_size=2 * devices, num_workers=0)
    trainer = L.Trainer(
        accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto", logger=False,
        use_distributed_sampler=False, enable_progress_bar=False,
    )
    trainer.test(task, data, verbose=False)
    if trainer.is_global_zero:
        np.savetxt(f"{devices}.csv", task.counts["test"].numpy(), "%d")
        np.savetxt(f"{devices}_images.csv", task.image_counts["test"].numpy(), "%d")
"""
