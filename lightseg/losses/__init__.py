"""Losses by name, their sums, and the weights of the classes in them."""

from lightseg.losses.base import ClassLoss, LabelLoss, MaskedLoss, PixelLoss
from lightseg.losses.losses import (
    LOSSES,
    MSE,
    MULTILABEL_LOSSES,
    BinaryCrossEntropy,
    BinaryFocal,
    CrossEntropy,
    Dice,
    Focal,
    Jaccard,
    Lovasz,
    OHEMCrossEntropy,
    SigmoidFocal,
    Tversky,
)
from lightseg.losses.weighted_sum import WeightedSum, build_loss

__all__ = [
    "LOSSES",
    "MSE",
    "MULTILABEL_LOSSES",
    "BinaryCrossEntropy",
    "BinaryFocal",
    "ClassLoss",
    "CrossEntropy",
    "Dice",
    "Focal",
    "Jaccard",
    "LabelLoss",
    "Lovasz",
    "MaskedLoss",
    "OHEMCrossEntropy",
    "PixelLoss",
    "SigmoidFocal",
    "Tversky",
    "WeightedSum",
    "build_loss",
]
