"""lightseg beside what people would use instead: Keras 3, and a plain script on Lightning and SMP.

usage: python experiments/benchmarks/peers.py [--pairs N] [--precision NAME] [--cifar ROOT] [--camvid ROOT]

All train in processes that take turns. Keras and lightseg train the tutorial's CNN on CIFAR-10 for ten epochs, or as
many as fit into five minutes, an epoch at each turn; each is as it comes: Keras in float32 and compiled by TensorFlow,
lightseg in the precision of `auto`. The first epoch of each warms up. Keras and TensorFlow have an environment of their
own, `make bench-peers`; without it, or without CIFAR-10, that row says so. The script and lightseg train U-Net on
ResNet-18; without CamVid, pictures of its size are made.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import lightning as L
import numpy as np
from frames import camvid_like
from overhead import ENDLESS
from runner import BUDGET, Benchmark, main
from table import Row
from turns import ROOT, Side, step_rates, train_epochs

from lightseg.data import CIFAR10
from lightseg.data.loading.collate import default_workers

KERAS = ROOT / ".cache/peers/bin/python"
EPOCHS = 10
BATCH = 8


def compare_keras(options: argparse.Namespace) -> Iterator[Row]:
    """Measure the time of an epoch, and the accuracy after the last."""
    name, against = f"tutorial CNN, CIFAR-10, batch 128, {options.precision}", "Keras 3 on TensorFlow, float32"
    if not options.cifar or not KERAS.exists():
        missing = "`--cifar ROOT`" if KERAS.exists() else "`make bench-peers`"
        yield Row(f"{name}: an epoch", "s", against=against, note=f"not measured: needs {missing}")
        return
    arrays, runs = options.scratch / "cifar.npz", options.scratch / "keras"
    _write_arrays(options.cifar, arrays)
    recipe = ["--config", f"{ROOT}/experiments/cifar10/simple_cnn.yaml", "--data.root", options.cifar]
    recipe += ["--trainer.max_epochs", str(EPOCHS), "--trainer.precision", options.precision, "--trainer.devices", "1"]
    recipe += ["--trainer.callbacks+=clock.EpochTurns", "--runs_dir", str(runs)]
    keras = Side([str(KERAS), "keras_tutorial.py", str(arrays), str(EPOCHS)])
    ours = Side([sys.executable, "-m", "lightseg.fit", *recipe])
    train_epochs([ours, keras], 2 * BUDGET)
    accuracy = json.loads(next(runs.glob("*/*/metrics.json")).read_text())["test/accuracy"]
    against += f" ({keras.facts['version']})"
    yield Row(f"{name}: an epoch", "s", ours.seconds[1:], against, keras.seconds[1:], 1.25, less_is_better=True)
    epochs = f"{len(ours.seconds)} epochs"
    yield Row(f"{name}: {epochs}", "test accuracy", [accuracy], against, [float(keras.facts["accuracy"])])


def _write_arrays(cifar: str, path: Path) -> None:
    """Write the splits that lightseg makes of CIFAR-10 as arrays."""
    data = CIFAR10(cifar)
    data.prepare_data()
    arrays = {}
    for split in ("train", "val", "test"):
        images, labels = zip(*[data.dataset(split)[index] for index in range(len(data.dataset(split)))], strict=True)
        arrays |= {f"{split}_images": np.stack(images), f"{split}_labels": np.array(labels)}
    np.savez(path, **arrays)


def compare_script(options: argparse.Namespace) -> Iterator[Row]:
    """Measure the images per second of the script and of the recipe that says the same."""
    camvid, workers = options.camvid or camvid_like(options.scratch / "camvid"), default_workers(1)
    recipe = ["--config", f"{ROOT}/configs/net/smp.yaml", "--config", f"{ROOT}/configs/data/camvid.yaml"]
    recipe += ["--model.net.encoder", "resnet18", "--data.root", camvid, "--trainer.precision", options.precision]
    recipe += [*ENDLESS, "--trainer.callbacks+=clock.StepTurns", "--runs_dir", str(options.scratch / "runs")]
    ours = Side([sys.executable, "-m", "lightseg.fit", *recipe])
    script = Side([sys.executable, "plain_script.py", camvid, options.precision, str(workers)])
    # two batches of each loading process are ready when a turn begins
    measurements = list(step_rates([ours, script], options.pairs, BUDGET, settle=2 * workers + 1))
    rates, others = ([BATCH * rate for rate in side] for side in zip(*measurements, strict=True))
    frames = "CamVid" if options.camvid else "painted frames"
    name = f"U-Net on ResNet-18, {frames}, crops of 256², batch {BATCH}, {options.precision}"
    yield Row(name, "images/s", rates, f"a plain Lightning {L.__version__} and SMP script", others)


def suite(options: argparse.Namespace) -> list[Benchmark]:
    """Return both peers."""
    return [
        Benchmark("U-Net on ResNet-18 against a plain script", lambda: compare_script(options)),
        Benchmark("tutorial CNN against Keras 3", lambda: compare_keras(options), rows=2),
    ]


if __name__ == "__main__":
    main(__doc__, suite)
