"""Draw weights of the training samples, so that rare classes are seen more often.

A sample holds a class if its label, or any of its pixels, is of that class: one definition for classification and
segmentation. What a scheme can do for segmentation is limited by what its images show: where a road is in every image,
no draw of images changes how often a road is seen.
"""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from lightseg.errors import did_you_mean, require

Scheme = Literal["class_balanced", "square_root", "repeat_factor"]

_EXPONENT: dict[Scheme, float] = {"class_balanced": 0.0, "square_root": 0.5}


def draw_weights(
    scheme: Scheme, table: npt.NDArray[np.int64], repeat_threshold: float | None = None
) -> npt.NDArray[np.float64]:
    """Return the share of all draws that each sample gets.

    With n_c the number of samples that hold class c, among those classes that occur, the schemes are

    * `class_balanced`: draw a class, each as likely as the others, then one of the n_c samples that hold it;
    * `square_root`: the same, but a class is drawn with a probability in proportion to sqrt(n_c), which is half way
      from `class_balanced` to the samples as they are;
    * `repeat_factor`: in proportion to the largest of max(1, sqrt(t / f_c)) over the classes c of the sample, where
      f_c is the share of the samples that hold c. Only what is rarer than t is drawn more often.

    The first two give a sample the sum of p_c / n_c over its classes c, p_c being the probability of drawing c.
    The paper's t of 0.001 suits the 1,203 classes of LVIS, about two thirds of which are rarer; every one of ten or
    twenty classes would be above it. So t is by default the median of f_c: the rarer half of the classes gains.

    A sample that holds no class, as where all is void, teaches nothing and is never drawn.

    Args:
        scheme: Name of the scheme.
        table: Pixels (or samples) of each class in each sample, `(N, C)`.
        repeat_threshold: t of `repeat_factor`, in 0..1; None for the median of f_c.

    Returns:
        float64 `(N,)`, sums to 1, 0 only for samples that hold no class.

    Raises:
        ConfigError: If no sample holds a class.

    Source: Kang et al. 2020, arXiv:1910.09217, equation 1 with q = 0 and q = 1/2, the latter from Mahajan et al. 2018,
    arXiv:1805.00932; Gupta et al. 2019, arXiv:1908.03195v2, appendix B.2, whose epochs grow with the repeats, while
    the epochs here keep their length.
    """
    holds = table > 0
    samples = holds.sum(0)
    require(bool(samples.any()), f"data.sampling: {scheme} needs a class to draw, and no training sample holds one")
    holds, samples = holds[:, samples > 0], samples[samples > 0]
    if scheme == "repeat_factor":
        frequency = samples / len(table)
        threshold = np.median(frequency) if repeat_threshold is None else repeat_threshold
        weights = (holds * np.maximum(1, np.sqrt(threshold / frequency))).max(1)
    else:
        chance = samples ** _EXPONENT[scheme]
        weights = holds @ (chance / chance.sum() / samples)
    return np.asarray(weights / weights.sum(), np.float64)


def check_options(scheme: str | None, repeat_threshold: float | None) -> None:
    """See that the options name a scheme and fit each other.

    Raises:
        ConfigError: If they do not.
    """
    schemes = get_args(Scheme)
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
            f"data.repeat_threshold: {repeat_threshold} is not a share of the samples; give one above 0, up to 1",
        )
