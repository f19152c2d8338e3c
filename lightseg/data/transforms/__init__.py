"""Transforms of samples: augmentation, rare classes, copy-paste."""
