"""Data modules: CIFAR-10, segmentation sets, a procedural one, and a user's own folder."""

from lightseg.data.base import Batch, ImageDataModule, ImageDataset
from lightseg.data.camvid import CamVid
from lightseg.data.cifar10 import CIFAR10
from lightseg.data.mask_folder import MaskFolder
from lightseg.data.order import EpochSampler
from lightseg.data.oxford_pet import OxfordPet
from lightseg.data.pascal_voc import PascalVOC
from lightseg.data.rare_crop import RareClassCrop
from lightseg.data.shapes import Shapes, ShapesClassification
from lightseg.data.types import Split

__all__ = [
    "CIFAR10",
    "Batch",
    "CamVid",
    "EpochSampler",
    "ImageDataModule",
    "ImageDataset",
    "MaskFolder",
    "OxfordPet",
    "PascalVOC",
    "RareClassCrop",
    "Shapes",
    "ShapesClassification",
    "Split",
]
