"""Exponential class profile that makes a balanced dataset long-tailed."""

import numpy as np
import numpy.typing as npt

from lightseg.errors import ConfigError


def long_tail(num_classes: int, ratio: float) -> npt.NDArray[np.float64]:
    """Return the frequency of each class relative to the first: `ratio ** (-c / (C - 1))`, from 1 down to `1 / ratio`.

    Source: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019, arXiv:1901.05555.

    Args:
        num_classes: Number of classes C.
        ratio: Frequency of the first class over that of the last, at least 1.

    Returns:
        Relative frequencies, `(C,)`.

    Raises:
        ConfigError: If the ratio is below 1.
    """
    if not ratio >= 1:
        raise ConfigError(f"data: an imbalance of {ratio} is not a ratio of most to least frequent; give 1 or more")
    return np.asarray(ratio ** (-np.arange(num_classes) / max(num_classes - 1, 1)), np.float64)


def long_tail_counts(largest: int, num_classes: int, ratio: float) -> npt.NDArray[np.int64]:
    """Return the samples per class if the first has `largest`, rounded down as in the published code, at least 1.

    Source: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019,
    arXiv:1906.07413, `imbalance_cifar.py`.

    Args:
        largest: Samples of the first class.
        num_classes: Number of classes C.
        ratio: Samples of the first class over those of the last, at least 1.

    Returns:
        Samples per class, `(C,)`.
    """
    # rounding errors such as 449.99999999999994 must not reduce a count
    exact = np.round(largest * long_tail(num_classes, ratio), 6)
    return np.maximum(exact.astype(np.int64), 1)
