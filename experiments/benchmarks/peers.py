"""lightseg beside what people would use instead: Keras 3, and a plain script on Lightning and SMP.

usage: python experiments/benchmarks/peers.py [--pairs N] [--cifar ROOT] [--camvid ROOT]

Keras and lightseg train the tutorial's CNN on CIFAR-10 for ten epochs in two processes that take turns, epoch by epoch;
each is as it comes: Keras in float32 and compiled by TensorFlow, lightseg by its recipe in bfloat16. The first epoch of
each warms up. Keras and TensorFlow have an environment of their own, `make bench-peers`; without it, or without
CIFAR-10, that row says so. The script and lightseg train U-Net on ResNet-18 in this process, in turn; without CamVid,
pictures of its size are made.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import lightning as L
import numpy as np
import torch
from clock import Clock
from frames import camvid_like
from plain_script import train
from table import Row, in_turn, main
from turns import Side, take_turns

from lightseg.data import CIFAR10
from lightseg.data.batches import default_workers
from lightseg.training import fit, hush_lightning

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
KERAS = ROOT / ".cache/peers/bin/python"
HARDWARE = f"{ROOT}/configs/hardware/{'gpu' if torch.cuda.is_available() else 'cpu'}.yaml"
EPOCHS, STEPS = 10, 16


def keras_rows(cifar: str) -> Iterator[Row]:
    """Time of an epoch, and the accuracy behind the last."""
    name = "tutorial CNN, CIFAR-10, batch 128"
    against = "Keras 3 on TensorFlow, float32"
    if not cifar or not KERAS.exists():
        missing = "`--cifar ROOT`" if KERAS.exists() else "`make bench-peers`"
        yield Row(f"{name}: an epoch", "s", against=against, note=f"not measured: needs {missing}")
        return
    with tempfile.TemporaryDirectory() as folder:
        _write_arrays(cifar, Path(folder, "cifar.npz"))
        recipe = ["--config", f"{ROOT}/experiments/cifar10/simple_cnn.yaml", "--config", HARDWARE, "--data.root", cifar]
        recipe += ["--trainer.max_epochs", str(EPOCHS), "--trainer.callbacks+=clock.Turns", "--runs_dir", folder]
        keras = Side([str(KERAS), "keras_tutorial.py", f"{folder}/cifar.npz", str(EPOCHS)])
        ours = Side([sys.executable, "-m", "lightseg.fit", *recipe])
        take_turns([ours, keras], str(HERE), {"PYTHONPATH": str(HERE)})
        reached = json.loads(next(Path(folder).glob("*/*/metrics.json")).read_text())["test/accuracy"]
    against += f" ({keras.told['version']})"
    yield Row(f"{name}: an epoch", "s", ours.seconds[1:], against, keras.seconds[1:], 1.25, less_is_better=True)
    yield Row(f"{name}: {EPOCHS} epochs", "test accuracy", [reached], against, [float(keras.told["accuracy"])])


def _write_arrays(cifar: str, path: Path) -> None:
    """The splits that lightseg makes of CIFAR-10, as arrays."""
    data = CIFAR10(cifar)
    data.prepare_data()
    arrays = {}
    for split in ("train", "val", "test"):
        images, labels = zip(*[data.dataset(split)[index] for index in range(len(data.dataset(split)))], strict=True)
        arrays |= {f"{split}_images": np.stack(images), f"{split}_labels": np.array(labels)}
    np.savez(path, **arrays)


def script_rows(camvid: str, frames: str, pairs: int) -> Iterator[Row]:
    """Images per second of the script and of the recipe that says the same."""
    options = ["--config", f"{ROOT}/configs/net/smp.yaml", "--config", f"{ROOT}/configs/data/camvid.yaml"]
    options += ["--model.net.encoder", "resnet18", "--data.root", camvid, "--trainer.max_steps", str(STEPS)]
    options += ["--trainer.precision", "bf16-mixed", "--trainer.devices", "1", "--trainer.limit_val_batches", "1"]
    options += ["--trainer.limit_test_batches", "0", "--trainer.callbacks+=clock.Clock"]
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "devices": 1}

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            fit([*options, f"--runs_dir={folder}"])
        return Clock.rates[-1]

    def theirs() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return train(camvid, STEPS, folder, {**quiet, "num_workers": default_workers(1)})

    name = f"U-Net on ResNet-18, {frames}, crops of 256², batch 8, bf16"
    against = f"a plain Lightning {L.__version__} and SMP script"
    rates, others = in_turn(ours, theirs, pairs)
    yield Row(name, "images/s", rates, against, others)


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Both peers."""
    hush_lightning()
    # what lightning asks of torch's pytree, and how few workers there are, says nothing about speed
    warnings.simplefilter("ignore")
    frames = "CamVid" if options.camvid else "painted frames"
    yield from keras_rows(options.cifar)
    with tempfile.TemporaryDirectory() as folder:
        yield from script_rows(options.camvid or camvid_like(Path(folder)), frames, options.pairs)


if __name__ == "__main__":
    main(__doc__, rows)
