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
    """Show a net the training images, normalised, if it asks for them; see `Net.start_from`.

    Args:
        net: The net; one that is no `Net` may have the method, too. None where none is about to be trained.
        data: Whose training split is shown.
        mean: As in `normalized`; known by now.
        std: Likewise.
    """
    start = getattr(net, "start_from", None)
    # a split need not be read for a method that does nothing
    if start is not None and getattr(type(net), "start_from", None) is not Net.start_from:
        assert mean is not None, "it follows the data"
        assert std is not None, "it follows the data"
        start(_images(data.dataset("train"), mean, std))


def _images(dataset: ImageDataset, mean: Tensor, std: Tensor) -> Iterator[Tensor]:
    # not in their own order, in which the first ones are often all of one class
    for index in np.random.default_rng(0).permutation(len(dataset)):
        image = torch.from_numpy(np.ascontiguousarray(dataset[int(index)][0].transpose(2, 0, 1)))
        yield normalized(image[None].to(mean.device), mean, std)[0]
