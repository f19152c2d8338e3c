"""Simulated counts of models on images of a population with known scores."""

import numpy as np

CLASSES = 4


class Population:
    """Images with difficulties and rare classes, and two recipes whose runs differ by their seeds.

    Args:
        training: Standard deviation of the logit of a correct pixel between seeds.
        per_image: Standard deviation of that logit for an image between runs.
        advantage: Difference of that logit of the second recipe to the first.
    """

    def __init__(self, training: float, per_image: float = 0.3, advantage: float = 0.3):
        self.training, self.per_image, self.advantage = training, per_image, advantage

    def seeds(self, random: np.random.Generator, number: int) -> np.ndarray:
        return random.normal(0, self.training, (2, number))

    def counts(self, random: np.random.Generator, images: int, seeds: np.ndarray) -> np.ndarray:
        """Return counts of each recipe and run, `(2, R, N, 3, C)`."""
        shares = np.array([1, 0.7, 0.5, 0.3])
        true = random.integers(1, 400, (images, CLASSES)) * (random.random((images, CLASSES)) < shares)
        hard = random.normal(0, 1, (images, 1))
        counts = np.empty((*seeds.shape, images, 3, CLASSES), np.int64)
        for recipe, run in np.ndindex(seeds.shape):
            logit = (
                1 + seeds[recipe, run] + hard + self.advantage * recipe + random.normal(0, self.per_image, true.shape)
            )
            right = random.binomial(true, 1 / (1 + np.exp(-logit)))
            # what is wrong is taken for the next class
            predicted = right + np.roll(true - right, 1, axis=1)
            counts[recipe, run] = np.stack([right, true, predicted], axis=1)
        return counts


class Scenes:
    """Realistic images: objects of any size, a rare class, each class hard in an image by itself; one run each.

    Args:
        shares: Fraction of the images that have each class.
        advantage: Difference of the logit of a correct pixel of the first recipe to the second.
    """

    def __init__(self, shares: tuple[float, ...] = (1, 0.9, 0.5, 0.1), advantage: float = 0.3):
        self.shares, self.advantage = shares, advantage

    def counts(self, random: np.random.Generator, images: int) -> np.ndarray:
        """Return counts of each recipe, `(2, N, 3, C)`."""
        size = images, len(self.shares)
        true = (random.lognormal(6, 1.2, size) * (random.random(size) < self.shares)).astype(int)
        hard = random.normal(0, 1, size)
        runs = []
        for skill in (self.advantage, 0):
            right = random.binomial(true, 1 / (1 + np.exp(-(2 + skill + hard + random.normal(0, 0.5, size)))))
            runs.append(np.stack([right, true, right + np.roll(true - right, 1, axis=1)], axis=1))
        return np.stack(runs)


class Samples:
    """Samples of a classification, half of them as hard for one recipe as for the other; one run each.

    Args:
        classes: Number of classes.
        skills: Accuracy of each recipe.
    """

    def __init__(self, classes: int, skills: tuple[float, float]):
        self.classes, self.skills = classes, skills

    def counts(self, random: np.random.Generator, samples: int) -> np.ndarray:
        """Return counts of each recipe, `(2, N, 3, C)`."""
        label = random.integers(0, self.classes, samples)
        hard = random.random(samples)
        runs = []
        for skill in self.skills:
            alike = random.random(samples) < 0.5
            right = np.where(alike, hard, random.random(samples)) < skill
            wrong = (label + random.integers(1, self.classes, samples)) % self.classes
            true, predicted = np.eye(self.classes, dtype=int)[[label, np.where(right, label, wrong)]]
            runs.append(np.stack([true * right[:, None], true, predicted], axis=1))
        return np.stack(runs)
