"""Strategies of distributed training beyond those that Lightning knows by name."""

from datetime import timedelta

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard


class FSDP(ModelParallelStrategy):
    """Fully sharded data parallel training (FSDP2): each device holds a share of weights, gradients, optimiser state.

    For nets that do not fit one device. Checkpoints are whole, as with any other strategy, so that a run may go on with
    another number of devices and the model can be loaded anywhere.

    Args:
        timeout_minutes: How long a process waits for the others before it gives up.

    Source: Zhao et al. 2023, arXiv:2304.11277; FSDP2 is `torch.distributed.fsdp.fully_shard`.
    """

    def __init__(self, timeout_minutes: float = 30.0) -> None:
        super().__init__("auto", 1, save_distributed_checkpoint=False, timeout=timedelta(minutes=timeout_minutes))

    def setup_environment(self) -> None:
        """Share by all processes there are, whatever nodes they are on."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def on_validation_start(self) -> None:
        """Let every process score the same net."""
        self._share_buffers()

    def on_test_start(self) -> None:
        """Let every process score the same net."""
        self._share_buffers()

    def _share_buffers(self) -> None:
        """Give the first process's running statistics to all, as DDP does at every step."""
        assert self.model is not None
        for buffer in self.model.buffers():
            distributed.broadcast(buffer, 0)


def enable_bucket_view(strategy: Strategy) -> None:
    """Let DDP's gradients lie in the buffers that it exchanges: no copy of them back, and half the memory for them."""
    if isinstance(strategy, DDPStrategy):
        strategy._ddp_kwargs.setdefault("gradient_as_bucket_view", True)


def shard(net: nn.Module, mesh: DeviceMesh) -> None:
    """Let the processes of a mesh share a net: each of its blocks is gathered when it runs, and let go again."""
    if mesh.device_type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(net)
    # it cannot divide parameters in another order
    net.to(memory_format=torch.contiguous_format)
    for block in net.children():
        # a list of blocks does not run itself
        if any(True for _ in block.parameters()) and not isinstance(block, nn.ModuleList | nn.ModuleDict):
            fully_shard(block, mesh=mesh)
    fully_shard(net, mesh=mesh)


def pad_forward_passes(task: LightningModule, passes: int) -> None:
    """Run the net on nothing where another process has more to evaluate: a shared net runs only where all run it.

    Args:
        task: The task that is evaluated.
        passes: The forward passes that this process has to make.
    """
    most = task.trainer.strategy.reduce(torch.tensor(passes, device=task.device), reduce_op="max")
    for _ in range(int(most) - passes):
        task(torch.zeros(1, task.get_buffer("mean").shape[1], 64, 64, device=task.device))
