"""Evaluations of models that were never trained, on images of a population whose true scores can be known."""

import numpy as np

CLASSES = 4


class Population:
    """Images with difficulties and rare classes, and two recipes whose runs differ by their seeds.

    Args:
        training: How much the logit of a pixel's being right varies from seed to seed.
        own: How much what a run makes of an image varies from run to run.
        advantage: How much better the second recipe is, in the same unit.
    """

    def __init__(self, training: float, own: float = 0.3, advantage: float = 0.3):
        self.training, self.own, self.advantage = training, own, advantage

    def seeds(self, random: np.random.Generator, number: int) -> np.ndarray:
        return random.normal(0, self.training, (2, number))

    def counts(self, random: np.random.Generator, images: int, seeds: np.ndarray) -> np.ndarray:
        """Right, true and predicted pixels of each recipe and run, `(2, R, N, 3, C)`."""
        shares = np.array([1, 0.7, 0.5, 0.3])
        true = random.integers(1, 400, (images, CLASSES)) * (random.random((images, CLASSES)) < shares)
        hard = random.normal(0, 1, (images, 1))
        drawn = np.empty((*seeds.shape, images, 3, CLASSES), np.int64)
        for recipe, run in np.ndindex(seeds.shape):
            logit = 1 + seeds[recipe, run] + hard + self.advantage * recipe + random.normal(0, self.own, true.shape)
            right = random.binomial(true, 1 / (1 + np.exp(-logit)))
            # what is wrong is taken for the next class
            predicted = right + np.roll(true - right, 1, axis=1)
            drawn[recipe, run] = np.stack([right, true, predicted], axis=1)
        return drawn
