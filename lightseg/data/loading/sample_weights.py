"""Sampling weights of training samples, which make rare classes more frequent.

A sample holds a class if its label, or any of its pixels, is of that class: one definition for classification and
segmentation. The effect on segmentation is limited by the images: if every image shows a road, no choice of images
changes the frequency of roads.
"""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from lightseg.errors import did_you_mean, require

SamplingScheme = Literal["class_balanced", "square_root", "repeat_factor"]

_EXPONENT: dict[SamplingScheme, float] = {"class_balanced": 0.0, "square_root": 0.5}


def draw_weights(
    scheme: SamplingScheme, table: npt.NDArray[np.int64], repeat_threshold: float | None = None
) -> npt.NDArray[np.float64]:
    """Return the probability of each sample in a draw.

    With n_c the number of samples that hold class c, over the classes that occur, the schemes are

    * `class_balanced`: draw a class uniformly, then one of the n_c samples that hold it;
    * `square_root`: the same, but a class is drawn with probability proportional to sqrt(n_c), half way between
      `class_balanced` and uniform draws of samples;
    * `repeat_factor`: draw a sample with probability proportional to the largest max(1, sqrt(t / f_c)) over its classes
      c, where f_c is the fraction of samples that hold c. Only classes rarer than t are drawn more often.

    With the first two, the probability of a sample is the sum of p_c / n_c over its classes c, where p_c is the
    probability of drawing c. The paper's t of 0.001 is chosen for the 1,203 classes of LVIS, of which about two thirds
    are rarer; each of ten or twenty classes would be above it. So t is by default the median of f_c: the rarer half of
    the classes gains.

    A sample without a class (all void) is never drawn.

    Args:
        scheme: Name of the scheme.
        table: Pixels (or samples) of each class in each sample, `(N, C)` int64.
        repeat_threshold: t of `repeat_factor`, in 0..1; None for the median of f_c.

    Returns:
        Probabilities `(N,)` float64, which sum to 1; 0 only for samples without a class.

    Raises:
        ConfigError: If no sample holds a class.

    Source: Kang et al. 2020, arXiv:1910.09217, equation 1 with q = 0 and q = 1/2, the latter from Mahajan et al. 2018,
    arXiv:1805.00932; Gupta et al. 2019, arXiv:1908.03195v2, appendix B.2, where repeats lengthen the epochs, which
    here have a constant length.
    """
    has_class = table > 0
    samples = has_class.sum(0)
    require(bool(samples.any()), f"data.sampling: {scheme} needs a class to draw, and no training sample holds one")
    has_class, samples = has_class[:, samples > 0], samples[samples > 0]
    if scheme == "repeat_factor":
        frequency = samples / len(table)
        threshold = np.median(frequency) if repeat_threshold is None else repeat_threshold
        weights = (has_class * np.maximum(1, np.sqrt(threshold / frequency))).max(1)
    else:
        class_weights = samples ** _EXPONENT[scheme]
        weights = has_class @ (class_weights / class_weights.sum() / samples)
    return np.asarray(weights / weights.sum(), np.float64)


def check_options(scheme: str | None, repeat_threshold: float | None) -> None:
    """Check the options `data.sampling` and `data.repeat_threshold`.

    Raises:
        ConfigError: If the scheme is unknown, or the threshold is out of range or has no effect.
    """
    schemes = get_args(SamplingScheme)
    require(
        scheme is None or scheme in schemes,
        f"data.sampling: there is no {scheme!r}{did_you_mean(str(scheme), schemes, len(schemes))}",
    )
    if repeat_threshold is not None:
        require(
            scheme == "repeat_factor",
            "data.repeat_threshold: only data.sampling: repeat_factor has a threshold; set that, or leave this out",
        )
        require(
            0 < repeat_threshold <= 1,
            f"data.repeat_threshold: must be a fraction of the samples, above 0 and up to 1, got {repeat_threshold}",
        )
