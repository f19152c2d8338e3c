"""Small convolutional network of the classic CIFAR-10 tutorials."""

import torch
from torch import Tensor, nn

from lightseg.errors import ConfigError
from lightseg.nets.base import Net
from lightseg.nets.dropout import ByteDropout


class SimpleCNN(Net):
    """CNN of two convolutions and two dense layers for small square images: 315,722 parameters on CIFAR-10.

    Source: the classic CIFAR-10 tutorial of Keras ("Train a simple deep CNN on the CIFAR10 small images dataset"), in
    its version of two convolutions. Unchanged: valid padding, Glorot-uniform weights and zero biases, as by default in
    Keras, and dropout .25, .25 and .5.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of the input: 3 for RGB, 1 for grayscale.
        image_size: Side of the square input in pixels, which determines the size of the first dense layer.

    Raises:
        ConfigError: If the images are too small for two convolutions and two poolings.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, image_size: int = 32) -> None:
        super().__init__()
        side = ((image_size - 2) // 2 - 2) // 2
        if side < 1:
            raise ConfigError(f"model.net.image_size: must be 10 pixels or more for SimpleCNN, got {image_size}")
        self.image_size = image_size
        # ReLU after pooling gives the same bits as before it, for a quarter of the work
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3),
            nn.MaxPool2d(2),
            nn.ReLU(),
            ByteDropout(0.25),
            nn.Conv2d(32, 64, 3),
            nn.MaxPool2d(2),
            nn.ReLU(),
            ByteDropout(0.25),
            nn.Flatten(),
            nn.Linear(64 * side * side, 128),
            nn.ReLU(),
            ByteDropout(0.5),
            nn.Linear(128, num_classes),
        )
        self.apply(_glorot)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images.

        Args:
            x: `(N, in_channels, image_size, image_size)`, float.

        Returns:
            Logits `(N, num_classes)`.

        Raises:
            ConfigError: If the images are not of size `image_size`.
        """
        if x.shape[-2:] != (self.image_size, self.image_size):
            height, width = x.shape[-2:]
            raise ConfigError(
                f"SimpleCNN was built for {self.image_size}×{self.image_size} images and got {height}×{width}; "
                "set model.net.image_size to the side of the images, or resize them to a square"
            )
        logits: Tensor = self.layers(x)
        return logits


@torch.no_grad()
def _glorot(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
