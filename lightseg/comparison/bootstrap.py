"""How far chance moves a difference of scores: which images were met, and which seeds were trained.

The images are drawn anew, with replacement, the same ones for all runs: what makes an image hard for all of them
cancels. Drawing two to five seeds anew as well would give intervals that are far too narrow, since so few hardly ever
show their spread. So the chance of training is added as a normal component of variance, and that the variances are
estimated is paid for with Student's t, the images being a component with as many degrees of freedom as there are images
that show the class, less one.

Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 6 and 12; Welch 1947, Biometrika 34, and
Satterthwaite 1946, Biometrics Bulletin 2, for the degrees of freedom of a sum of estimated variances.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightseg.comparison.results import LEVEL, Estimate, Floats
from lightseg.comparison.scores import Metric, mean
from lightseg.per_image import Counts

RESAMPLES = 10_000
"""How often the images are drawn, B below."""

_CELLS = 4_000_000
"""Images drawn at once, over all resamples of a chunk: what bounds the memory."""


@dataclass(frozen=True)
class Arm:
    """Scores of a group, first of all classes together and then of each: K = 1 + C of them.

    Attributes:
        scores: Of each of its T trials, float64 `(T, K)`.
        draws: Mean over the trials on each of the B resamples, float64 `(B, K)`.
        training: Variance that the chance of training gives to the mean, beyond what the images explain, float64
            `(K,)`; 0 of a single trial, which cannot show it.
        doubt: Square of the variance of the mean that the trials show, over its degrees of freedom, float64 `(K,)`:
            what a variance estimated from so few adds to the denominator of Satterthwaite's degrees of freedom.
        noise: Draws of a normal variable of that variance, float64 `(B, K)`.
        seen: Whether an image shows the class, in truth or prediction; all do for the first, bool `(N, K)`.
    """

    scores: Floats
    draws: Floats
    training: Floats
    doubt: Floats
    noise: Floats
    seen: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Deviations:
    """What chance may have added to some values: scores of a group, or differences of two.

    Attributes:
        value: What was measured, float64 `(K,)`; NaN where undefined.
        scale: Half the width of an interval of 95 % of each alone, float64 `(K,)`; infinite where nothing is known.
        ratio: Size of the deviation in each resample in units of `scale`, float64 `(B, K)`; NaN where undefined.
    """

    value: Floats
    scale: Floats
    ratio: Floats


def arms(groups: Sequence[Sequence[Counts]], metric: Metric) -> list[Arm]:
    """Score groups of trials on all images, and on the same resamples of them.

    The same input gives the same draws: a number that is printed twice is the same twice.

    Args:
        groups: Counts of the trials of each group, int64 `(N, 3, C)` each, of the same images.
        metric: What to score.
    """
    drawn = iter(_resampled([counts for group in groups for counts in group], metric))
    streams = np.random.default_rng(1).spawn(len(groups))
    return [
        _arm(group, [next(drawn) for _ in group], metric, stream) for group, stream in zip(groups, streams, strict=True)
    ]


def alone(arm: Arm, random: np.random.Generator) -> Deviations:
    """How far chance moves the scores of one arm."""
    value, images = mean(arm.scores, 0), arm.seen.sum(0)
    return _deviations(value, arm.draws, arm.noise, arm.training, arm.doubt, images, random)


def between(first: Arm, second: Arm, random: np.random.Generator) -> Deviations:
    """How far chance moves the differences of two arms, by training too where both have several trials."""
    value, draws = mean(first.scores, 0) - mean(second.scores, 0), first.draws - second.draws
    images = (first.seen | second.seen).sum(0)
    both = min(len(first.scores), len(second.scores)) > 1
    noise, training = both * (first.noise - second.noise), both * (first.training + second.training)
    return _deviations(value, draws, noise, training, both * (first.doubt + second.doubt), images, random)


def estimates(deviations: Deviations, maxima: Floats | None = None) -> list[Estimate]:
    """The intervals, and how often chance gives as much.

    Args:
        deviations: K values.
        maxima: Largest ratio in each resample over all values whose intervals are to hold together, `(B,)`: the
            single-step max-t method (Westfall and Young 1993, "Resampling-Based Multiple Testing", chapter 2). Left
            out, each interval holds by itself.
    """
    largest = deviations.ratio if maxima is None else np.repeat(maxima[:, None], len(deviations.value), axis=1)
    columns = zip(deviations.value, deviations.scale, _critical(largest), largest.T, strict=True)
    return [_estimate(*column) for column in columns]


def _estimate(value: float, scale: float, critical: float, largest: Floats) -> Estimate:
    valid = np.count_nonzero(~np.isnan(largest))
    if np.isnan(value) or np.isinf(scale) or not valid:
        return Estimate(float(value), np.nan, np.nan, np.nan if np.isnan(value) else 1.0)
    size = abs(value) / scale if scale else np.inf if value else 0.0
    p = (1 + np.count_nonzero(largest >= size)) / (valid + 1)
    return Estimate(float(value), float(value - critical * scale), float(value + critical * scale), float(p))


def _resampled(trials: Sequence[Counts], metric: Metric) -> Floats:
    """The scores of each trial on resamples of the N images, which are the same for all, float64 `(T, B, K)`."""
    images, _, classes = trials[0].shape
    drawn = np.empty((len(trials), RESAMPLES, 1 + classes))
    # sums of whole numbers are exact in float64, so their order does not matter
    summands = np.stack(trials, axis=1).reshape(images, -1).astype(float)
    random = np.random.default_rng(0)
    chunk = max(1, _CELLS // images)
    for start in range(0, RESAMPLES, chunk):
        size = min(chunk, RESAMPLES - start)
        chosen = random.integers(images, size=(size, images)) + np.arange(size)[:, None] * images
        times = np.bincount(chosen.ravel(), minlength=size * images).reshape(size, images).astype(float)
        sums = (times @ summands).reshape(size, len(trials), 3, classes)
        drawn[:, start : start + size] = metric(sums.swapaxes(0, 1))
    return drawn


def _arm(group: Sequence[Counts], drawn: Sequence[Floats], metric: Metric, random: np.random.Generator) -> Arm:
    draws = np.stack(drawn)
    scores = np.stack([metric(counts.sum(0)) for counts in group])
    seen = np.any([~np.isnan(metric(counts)) for counts in group], axis=0)
    training = doubt = np.zeros(scores.shape[1])
    if len(group) > 1:
        # trials also differ by what each makes of these very images, which resampling them shows already
        explained = mean(_variance(draws - scores[:, None]), 0) * _widening(seen.sum(0))
        apart = _variance(scores)
        training = np.nan_to_num(np.maximum(apart - explained, 0) / len(group))
        doubt = np.nan_to_num((apart / len(group)) ** 2 / (len(group) - 1))
    noise = random.standard_normal(draws.shape[1:]) * np.sqrt(training)
    return Arm(scores, mean(draws, 0), training, doubt, noise, seen)


def _deviations(
    value: Floats,
    draws: Floats,
    noise: Floats,
    training: Floats,
    doubt: Floats,
    images: npt.NDArray[np.int64],
    random: np.random.Generator,
) -> Deviations:
    """Put the components of chance together.

    Args:
        value: `(K,)`.
        draws: The value on each resample of the images, `(B, K)`.
        noise: What the chance of training adds, `(B, K)`.
        training: The variance of that, `(K,)`.
        doubt: See `Arm`, `(K,)`.
        images: How many images show what is scored, `(K,)`.
        random: Draws the uncertainty of the variances.
    """
    moved = (draws - value) * np.sqrt(_widening(images))
    variance = mean(moved**2, 0)
    unsure = variance**2 / np.maximum(images - 1, 1) + doubt
    freedom = np.divide((variance + training) ** 2, unsure, out=np.full_like(unsure, 1e9), where=unsure > 0)
    sizes = np.abs(moved + noise) * np.sqrt(freedom / random.chisquare(freedom, moved.shape))
    scale = _critical(sizes)
    scale = np.where(scale > 0, scale, np.nan_to_num(sizes).max(0))
    # one image shows no spread: nothing is known, unless there is no difference at all
    scale = np.where((images < 2) & (value != 0), np.inf, scale)
    ratio = np.divide(sizes, scale, out=np.zeros_like(sizes), where=(scale > 0) | np.isnan(sizes))
    return Deviations(value, scale, ratio)


def _critical(values: Floats) -> Floats:
    """What more than 95 % of the draws `(B, K)` do not exceed, without those that are NaN, `(K,)`."""
    valid = (~np.isnan(values)).sum(0)
    # so many draws may be as large, and the share of draws that are is still below the level
    allowed = np.ceil(LEVEL * (valid + 1)).astype(int) - 2
    rank = np.clip(valid - 1 - allowed, 0, np.maximum(valid - 1, 0))
    critical: Floats = np.take_along_axis(np.sort(values, axis=0), rank[None], axis=0)[0]
    return critical


def _variance(values: Floats) -> Floats:
    """The sample variance over the first axis, without what is NaN."""
    return mean((values - mean(values, 0)) ** 2, 0) * _widening(np.array(len(values)))


def _widening(number: npt.NDArray[np.int64]) -> Floats:
    """N / (N - 1), by which the variance of N draws from N values falls short; 1 of a single one."""
    widening: Floats = number / np.maximum(number - 1, 1)
    return widening
