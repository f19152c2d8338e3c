"""Nets: modules that map normalized images to logits.

The constructors take `(num_classes, in_channels=3, ...)` with plain values, so that a recipe can name a net by
`class_path`. timm, torchvision and segmentation_models_pytorch are imported only when a net that needs them is built.
"""

from lightseg.nets.base import Net, Normalization
from lightseg.nets.fcn import FCN
from lightseg.nets.segmenter import Segmenter
from lightseg.nets.simple_cnn import SimpleCNN
from lightseg.nets.smp_net import SmpNet
from lightseg.nets.timm_net import TimmNet
from lightseg.nets.torchvision_net import TorchvisionNet
from lightseg.nets.unet import UNet
from lightseg.nets.whitened_cnn import WhitenedCNN

__all__ = (
    "FCN",
    "Net",
    "Normalization",
    "Segmenter",
    "SimpleCNN",
    "SmpNet",
    "TimmNet",
    "TorchvisionNet",
    "UNet",
    "WhitenedCNN",
)
