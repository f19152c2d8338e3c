"""Trainings on a CUDA device; `make test-gpu` runs these."""

import numpy as np
import pytest
import torch
import yaml

import lightseg

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_fit__every_precision(fit, recipe, precision):
    overlays = ["--config", "configs/hardware/gpu.yaml", "--trainer.precision", precision]
    outcome = fit("--config", recipe(), *overlays)
    assert outcome.code == 0
    assert np.isfinite(outcome.metrics["val/loss"])


def test_fit__auto_takes_what_the_gpu_computes_fast(fit, recipe, monkeypatch):
    monkeypatch.delenv("LIGHTSEG_PRECISION")
    outcome = fit("--config", recipe(), "--trainer.accelerator", "gpu", "--trainer.precision", "auto")
    expected = "bf16-mixed" if torch.cuda.get_device_capability() >= (8, 0) else "16-mixed"
    assert yaml.safe_load((outcome.folder / "config.yaml").read_text())["trainer"]["precision"] == expected


def test_load__scores_on_the_cpu_what_the_gpu_scored(fit, recipe):
    outcome = fit("--config", recipe(), "--config", "configs/hardware/gpu.yaml", "--trainer.precision", "32-true")
    task = lightseg.load(outcome.folder)
    image = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    assert torch.allclose(task(image), task.cuda()(image.cuda()).cpu(), atol=1e-3)


WATCH = """
import lightning as L
import torch

class Watch(L.Callback):
    def on_train_batch_start(self, trainer, task, batch, index):
        # the first steps choose their kernels, and the log is written in the 8th and the 16th
        torch.cuda.set_sync_debug_mode("error" if index % 8 in range(2, 7) else "default")

    def on_train_batch_end(self, trainer, *_):
        torch.cuda.set_sync_debug_mode("default")
        group = trainer.optimizers[0].param_groups[0]
        assert group["fused"]
"""


@pytest.mark.parametrize("options", [(), ("--trainer.callbacks+=lightseg.callbacks.EMA",)], ids=["plain", "ema"])
def test_step__does_not_wait_for_the_device(fit, recipe, own_module, options):
    own_module("watch", WATCH)
    length = ["--data.train_size", "64", "--trainer.max_epochs", "1", "--trainer.log_every_n_steps", "8"]
    overlays = ["--config", "configs/hardware/gpu.yaml", "--trainer.callbacks+=watch.Watch"]
    outcome = fit("--config", recipe(), *overlays, *length, *options)
    assert outcome.code == 0, outcome.err
