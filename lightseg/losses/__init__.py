"""Losses by name, their sums, and the weights of the classes in them."""

from lightseg.losses.base import ClassLoss, MaskedLoss, PixelLoss
from lightseg.losses.losses import (
    LOSSES,
    MSE,
    CrossEntropy,
    Dice,
    Focal,
    Jaccard,
    Lovasz,
    OHEMCrossEntropy,
    SigmoidFocal,
    Tversky,
    WeightedSum,
    build_loss,
)

__all__ = [
    "LOSSES",
    "MSE",
    "ClassLoss",
    "CrossEntropy",
    "Dice",
    "Focal",
    "Jaccard",
    "Lovasz",
    "MaskedLoss",
    "OHEMCrossEntropy",
    "PixelLoss",
    "SigmoidFocal",
    "Tversky",
    "WeightedSum",
    "build_loss",
]
