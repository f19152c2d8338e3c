"""Seconds of training to 94 % on CIFAR-10: our fast recipe against airbench94, on the same GPU in the same run.

usage: python experiments/benchmarks/cifar_fast.py --airbench FILE --cifar ROOT [--pairs N]

  --airbench FILE   airbench94.py, of which this project has no copy: github.com/KellerJordan/cifar10-airbench
  --cifar ROOT      CIFAR-10; both sides train and are tested on these pictures

Both are counted as airbench counts: the computed first layer and all steps, without what is compiled and warmed up
before, start-up, and evaluation. Ours is `python -m lightseg.fit` with experiments/cifar10/fast.yaml; the rate behind
the first steps stands for all. The accuracy of both is that of the mirrored and shifted test images. Ours holds 1,000
training images out for validation, theirs none.
"""

import argparse
import contextlib
import importlib.util
import io
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from clock import Clock
from table import Row, in_turn, main

from lightseg import evaluate
from lightseg.data import CIFAR10
from lightseg.nets import WhitenedCNN
from lightseg.training import fit, hush_lightning

ROOT = Path(__file__).resolve().parents[2]
STEPS, BATCH = 470, 1024
"""Of the recipe: 10 epochs of 47 batches."""

SECONDS, ACCURACY = "CIFAR-10, training of the fast recipe", "CIFAR-10, test accuracy of the fast recipe"
TARGET = 1 / 1.3


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """Seconds, and what they led to."""
    missing = [
        what
        for what, there in {
            "a GPU": torch.cuda.is_available(),
            "--airbench FILE": options.airbench,
            "--cifar ROOT": options.cifar,
        }.items()
        if not there
    ]
    if missing:
        note = f"not yet measured: needs {' and '.join(missing)}"
        yield Row(SECONDS, "s", against="airbench94", target=TARGET, less_is_better=True, note=note)
        return
    hush_lightning()
    warnings.simplefilter("ignore")
    accuracies: dict[str, list[float]] = {"ours": [], "theirs": []}
    train = airbench(Path(options.airbench))
    with tempfile.TemporaryDirectory() as folder:
        pictures_for_airbench(options.cifar, Path(folder) / "cifar10")
        ours, theirs = in_turn(
            lambda: by_lightseg(options.cifar, accuracies["ours"]),
            lambda: by_airbench(train, Path(folder), accuracies["theirs"]),
            options.pairs,
        )
    mean = {name: sum(values[1:]) / len(values[1:]) for name, values in accuracies.items()}
    yield Row(SECONDS, "s", ours, "airbench94", theirs, TARGET, less_is_better=True)
    yield Row(ACCURACY, "%", accuracies["ours"][1:], target=94.0, note=f"airbench94: {mean['theirs']:.2f} in the mean")


def by_lightseg(cifar: str, accuracies: list[float]) -> float:
    """Seconds of a training as a user starts it; its accuracy is appended, in percent."""
    options = ["--config", f"{ROOT}/experiments/cifar10/fast.yaml", "--config", f"{ROOT}/configs/hardware/gpu.yaml"]
    options += ["--data.root", cifar, "--model.compile", "true", "--trainer.max_steps", str(STEPS)]
    begun: list[float] = []
    with (
        tempfile.TemporaryDirectory() as runs,
        contextlib.redirect_stdout(io.StringIO()) as said,
        patch.object(WhitenedCNN, "start_from", _timed(WhitenedCNN.start_from, begun)),
    ):
        fit([*options, "--trainer.callbacks+=clock.Clock", f"--runs_dir={runs}"])
        run = Path(said.getvalue().strip().splitlines()[-1].removeprefix("run: "))
        evaluate.main([str(run), "--tta", "flip,shift"])
        scores = json.loads((run / "evaluations/test-flip-shift/metrics.json").read_text())
    accuracies.append(100 * scores["test/accuracy"])
    return sum(begun) + STEPS * BATCH / Clock.rates[-1]


def by_airbench(train: Any, folder: Path, accuracies: list[float]) -> float:
    """Seconds of one of its trainings; its accuracy is appended, in percent."""
    told: list[float] = []
    train.print_training_details = lambda variables, **_: told.append(float(variables["total_time_seconds"]))
    before = Path.cwd()
    os.chdir(folder)
    try:
        accuracies.append(100 * train.main(0))
    finally:
        os.chdir(before)
    # the last entry has the evaluation in it too
    return told[-2]


def airbench(file: Path) -> Any:
    """The user's copy as a module."""
    spec = importlib.util.spec_from_file_location("airbench94", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pictures_for_airbench(cifar: str, folder: Path) -> None:
    """Write CIFAR-10 as airbench keeps it, so that it need not fetch it: all 50,000 training pictures, and the test."""
    folder.mkdir()
    data = CIFAR10(root=cifar)
    for name, splits in {"train": ("train", "val"), "test": ("test",)}.items():
        samples = [data.dataset(split)[index] for split in splits for index in range(len(data.dataset(split)))]
        images = torch.stack([torch.from_numpy(image) for image, _ in samples])
        labels = torch.tensor([label for _, label in samples])
        # its first layer is computed from the first pictures, which in its own files are in random order
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        torch.save({"images": images[order], "labels": labels[order], "classes": data.classes}, folder / f"{name}.pt")


def _timed(function: Callable[..., None], seconds: list[float]) -> Callable[..., None]:
    def run(*args: Any) -> None:
        since = time.perf_counter()
        function(*args)
        seconds.append(time.perf_counter() - since)

    return run


if __name__ == "__main__":
    main(__doc__, rows)
