"""The real command on a CUDA device; `make test-gpu` runs these where there is one."""

import numpy as np
import pytest
import torch

import lightseg

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_fit__every_precision(fit, recipe, precision):
    overlays = ["--config", "configs/hardware/gpu.yaml", "--trainer.precision", precision]
    outcome = fit("--config", recipe(), *overlays)
    assert outcome.code == 0
    assert np.isfinite(outcome.metrics["val/loss"])


def test_load__scores_on_the_cpu_what_the_gpu_scored(fit, recipe):
    outcome = fit("--config", recipe(), "--config", "configs/hardware/gpu.yaml", "--trainer.precision", "32-true")
    task = lightseg.load(outcome.folder)
    image = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    assert torch.allclose(task(image), task.cuda()(image.cuda()).cpu(), atol=1e-3)
