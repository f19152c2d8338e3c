"""Data modules: CIFAR-10, segmentation sets, a procedural one, and a user's own folder, table or annotations."""

from lightseg.data.data_module import ImageDataModule
from lightseg.data.dataset import ImageDataset
from lightseg.data.datasets.annotated_images import AnnotatedImages, AnnotatedImagesClassification
from lightseg.data.datasets.camvid import CamVid
from lightseg.data.datasets.cifar10 import CIFAR10
from lightseg.data.datasets.image_folder import ImageFolder
from lightseg.data.datasets.image_table import ImageTable
from lightseg.data.datasets.mask_folder import MaskFolder
from lightseg.data.datasets.multilabel_annotated_images import (
    MultilabelAnnotatedImages,
    MultilabelAnnotatedImagesClassification,
)
from lightseg.data.datasets.multilabel_mask_folder import MultilabelMaskFolder
from lightseg.data.datasets.oxford_pet import OxfordPet
from lightseg.data.datasets.pascal_voc import PascalVOC
from lightseg.data.datasets.shapes import Shapes, ShapesClassification, ShapesLabels, ShapesMultilabel
from lightseg.data.loading.samplers import EpochSampler
from lightseg.data.transforms.rare_crop import RareClassCrop
from lightseg.data.types import Batch, Split

__all__ = [
    "CIFAR10",
    "AnnotatedImages",
    "AnnotatedImagesClassification",
    "Batch",
    "CamVid",
    "EpochSampler",
    "ImageDataModule",
    "ImageDataset",
    "ImageFolder",
    "ImageTable",
    "MaskFolder",
    "MultilabelAnnotatedImages",
    "MultilabelAnnotatedImagesClassification",
    "MultilabelMaskFolder",
    "OxfordPet",
    "PascalVOC",
    "RareClassCrop",
    "Shapes",
    "ShapesClassification",
    "ShapesLabels",
    "ShapesMultilabel",
    "Split",
]
