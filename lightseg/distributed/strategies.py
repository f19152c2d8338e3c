"""Fully sharded training, a strategy beyond those that Lightning knows by name."""

from datetime import timedelta

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, StrategyRegistry
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method


class FSDP(ModelParallelStrategy):
    """Fully sharded data parallel training (FSDP2): each device stores a shard of weights, gradients, optimizer state.

    For nets that do not fit one device. Checkpoints are not sharded, so that a run can be resumed on another number of
    devices and the model can be loaded anywhere.

    Args:
        timeout_minutes: Minutes that a process waits for the others before it fails.

    Source: Zhao et al. 2023, arXiv:2304.11277; FSDP2 is `torch.distributed.fsdp.fully_shard`.
    """

    def __init__(self, timeout_minutes: float = 30.0) -> None:
        super().__init__(save_distributed_checkpoint=False, timeout=timedelta(minutes=timeout_minutes))

    def on_validation_start(self) -> None:
        """Synchronize the buffers, so that all processes score the same net."""
        self._share_buffers()

    def on_test_start(self) -> None:
        """Synchronize the buffers, so that all processes score the same net."""
        self._share_buffers()

    def _share_buffers(self) -> None:
        """Broadcast the running statistics of the first process, as DDP does in every step."""
        assert self.model is not None
        for buffer in self.model.buffers():
            distributed.broadcast(buffer, 0)


def enable_bucket_view() -> None:
    """Let DDP's gradients be views of its communication buckets, which saves a copy and half of their memory.

    That is for the strategies by name; one of the recipe's classes keeps its options.
    """
    for entry in StrategyRegistry.values():
        if entry["strategy"] is DDPStrategy:
            entry["init_params"].setdefault("gradient_as_bucket_view", True)


def shard(net: nn.Module, mesh: DeviceMesh) -> None:
    """Shard a net over all processes of a mesh, of all nodes; each of its blocks is gathered while it runs."""
    # Lightning's mesh has one dimension for the nodes and one for the devices of each
    mesh = init_device_mesh(mesh.device_type, (mesh.size(),))
    if mesh.device_type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(net)
    # FSDP2 cannot shard parameters in another memory format
    net.to(memory_format=torch.contiguous_format)
    for block in net.children():
        # a list of blocks has no forward pass
        if any(True for _ in block.parameters()) and not isinstance(block, nn.ModuleList | nn.ModuleDict):
            fully_shard(block, mesh=mesh)
            if hasattr(block, "forward_intermediates"):
                # the encoder of Segmenter is called by this method
                register_fsdp_forward_method(block, "forward_intermediates")
    fully_shard(net, mesh=mesh)


def pad_forward_passes(task: LightningModule, passes: int) -> None:
    """Run dummy forward passes until all processes have run equally many, as a sharded net requires.

    Args:
        task: The evaluated task.
        passes: Number of forward passes of this process.
    """
    most = task.trainer.strategy.reduce(torch.tensor(passes, device=task.device), reduce_op="max")
    for _ in range(int(most) - passes):
        task(torch.zeros(1, task.get_buffer("mean").shape[1], 64, 64, device=task.device))
