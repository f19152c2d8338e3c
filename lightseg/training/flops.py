"""What a net costs: its parameters, and the operations of one image."""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from lightseg.data.types import Batch
from lightseg.tasks import Task


@torch.no_grad()
def cost(task: Task, batch: Batch) -> dict[str, Any]:
    """Run a batch of one image through a task once and count; a net that does not fit the data is found so, too.

    Args:
        task: A task in training mode, in which it is left.
        batch: One image, as training sees it.

    Returns:
        `parameters`; `gflops` of one forward pass, a multiplication and an addition being two operations; `input`, the
        image's `[C, H, W]`; `dtype`, its type, `uint8` or `float32`.

    Raises:
        ConfigError: If the net is of the other kind, or takes another image size or number of channels.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    task.eval()
    # a compiled net, or attention in one piece, would hide what it does
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
            task(batch["image"])
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    task.train()
    return {
        "parameters": sum(parameter.numel() for parameter in task.parameters()),
        "gflops": counter.get_total_flops() / 1e9,
        "input": list(batch["image"].shape[1:]),
        "dtype": str(batch["image"].dtype).removeprefix("torch."),
    }
