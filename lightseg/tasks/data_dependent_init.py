"""Initialization of a net from training images."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from lightseg.data.data_module import ImageDataModule
from lightseg.data.dataset import ImageDataset
from lightseg.nets import Net
from lightseg.tasks.normalization import normalized


def start_from_images(net: nn.Module | None, data: ImageDataModule, mean: Tensor | None, std: Tensor | None) -> None:
    """Initialize a net from normalized training images, if it has a `start_from`; see `Net.start_from`.

    Args:
        net: The net, which need not be a `Net`; None outside of training.
        data: The data module.
        mean: Mean per channel, as in `normalized`.
        std: Standard deviation per channel.
    """
    start = getattr(net, "start_from", None)
    # the split is not read for the inherited method, which does nothing
    if start is not None and getattr(type(net), "start_from", None) is not Net.start_from:
        assert mean is not None, "it follows the data"
        assert std is not None, "it follows the data"
        start(_images(data.dataset("train"), mean, std))


def _images(dataset: ImageDataset, mean: Tensor, std: Tensor) -> Iterator[Tensor]:
    # shuffled, since the first samples are often of one class
    for index in np.random.default_rng(0).permutation(len(dataset)):
        image = torch.from_numpy(np.ascontiguousarray(dataset[int(index)][0].transpose(2, 0, 1)))
        yield normalized(image[None].to(mean.device), mean, std)[0]
