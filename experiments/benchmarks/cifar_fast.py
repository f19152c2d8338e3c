"""Seconds of training to 94 % on CIFAR-10, by the fast recipe, airbench94 and a bare loop; rows of `gpu.py`.

Lightseg and airbench94 are counted as airbench counts: the computed first layer and all steps, without compilation and
warm-up, start-up, and evaluation. Lightseg's is `python -m lightseg.fit` with experiments/cifar10/fast.yaml; the rate
after the first steps stands for all. The accuracy of both is that of the mirrored and shifted test images. Lightseg's
holds 1,000 training images out for validation, airbench94's none. The bare loop trains the same net on the same batches
as often, and does nothing else: no schedule, no averaged weights, no first layer.
"""

import contextlib
import importlib.util
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from clock import Clock
from overhead import ENDLESS
from turns import ROOT, Side

from lightseg import evaluate
from lightseg.data import CIFAR10
from lightseg.nets import WhitenedCNN
from lightseg.training.run import fit

RECIPE = ["--config", f"{ROOT}/experiments/cifar10/fast.yaml"]
STEPS, BATCH = 470, 1024
"""Of the recipe: 10 epochs of 47 batches."""


def by_lightseg(options: list[str], steps: int, batch: int, runs: Path) -> tuple[float, float]:
    """Return the seconds of a training as a user starts it, and its accuracy in percent."""
    start_seconds: list[float] = []
    with (
        contextlib.redirect_stdout(io.StringIO()) as output,
        patch.object(WhitenedCNN, "start_from", _timed(WhitenedCNN.start_from, start_seconds)),
    ):
        length = ["--trainer.max_steps", str(steps)]
        fit([*RECIPE, *options, *length, "--trainer.callbacks+=clock.Clock", f"--runs_dir={runs}"])
        run = Path(output.getvalue().strip().splitlines()[-1].removeprefix("run: "))
        evaluate.main([str(run), "--tta", "flip,shift"])
    scores = json.loads((run / "evaluations/test-flip-shift/metrics.json").read_text())
    return sum(start_seconds) + steps * batch / Clock.rates[-1], 100 * scores["test/accuracy"]


def by_hand(options: list[str], precision: str, compiled: bool) -> Side:
    """Return the bare loop."""
    flags = ["--sgd", "--smoothing", "0.2", *(["--compile"] if compiled else [])]
    return Side([sys.executable, "hand_written.py", precision, *flags, *RECIPE, *options, *ENDLESS])


def airbench(file: Path, cifar: str, folder: Path) -> Callable[[], tuple[float, float]]:
    """Return what trains the user's copy of airbench94 once and gives seconds and accuracy in percent.

    Args:
        file: `airbench94.py` of github.com/KellerJordan/cifar10-airbench, of which this project has no copy.
        cifar: Root of CIFAR-10; both sides train and are tested on these pictures.
        folder: Where the pictures are written as airbench94 reads them.
    """
    spec = importlib.util.spec_from_file_location("airbench94", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _write_pictures(cifar, folder / "cifar10")

    def train() -> tuple[float, float]:
        seconds: list[float] = []
        module.print_training_details = lambda variables, **_: seconds.append(float(variables["total_time_seconds"]))
        with contextlib.chdir(folder):
            accuracy = 100 * module.main(0)
        # the last entry includes the evaluation
        return seconds[-2], accuracy

    return train


def _write_pictures(cifar: str, folder: Path) -> None:
    """Write CIFAR-10 as airbench94 keeps it, so that it need not fetch it: all training pictures, and the test."""
    folder.mkdir(parents=True)
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
        start = time.perf_counter()
        function(*args)
        seconds.append(time.perf_counter() - start)

    return run
