"""Cost of a net: its parameters, and the operations for one image."""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from lightseg.data.types import Batch
from lightseg.tasks import Task
from lightseg.tasks.preflight import require_output


@torch.no_grad()
def measure_cost(task: Task, batch: Batch) -> dict[str, Any]:
    """Count parameters and operations in one forward pass, which also checks that net and data fit each other.

    Args:
        task: A task, which keeps its mode.
        batch: A batch of one training image.

    Returns:
        `parameters`; `gflops` of one forward pass, where a multiplication and an addition are two operations; `input`,
        the shape `[C, H, W]` of the image; `dtype`, its type, `uint8` or `float32`.

    Raises:
        ConfigError: If the net is for the other kind of task, or for another image size or number of channels.
    """
    is_fused, is_training = torch.backends.mha.get_fastpath_enabled(), task.training
    task.eval()
    # a compiled net and fused attention hide their operations from the counter
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
            logits = task(batch["image"])
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fused)
    task.train(is_training)
    require_output(task, batch["image"], logits)
    return {
        "parameters": sum(parameter.numel() for parameter in task.parameters()),
        "gflops": counter.get_total_flops() / 1e9,
        "input": list(batch["image"].shape[1:]),
        "dtype": str(batch["image"].dtype).removeprefix("torch."),
    }
