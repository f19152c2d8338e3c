"""Exponential profile by which a balanced set is made long-tailed."""

import numpy as np
import numpy.typing as npt

from lightseg.errors import ConfigError


def long_tail(num_classes: int, ratio: float) -> npt.NDArray[np.float64]:
    """Return how frequent each class is against the first: `ratio ** (-c / (C - 1))`, from 1 down to `1 / ratio`.

    Source: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019, arXiv:1901.05555.

    Raises:
        ConfigError: If the ratio is below 1.
    """
    if not ratio >= 1:
        raise ConfigError(f"data: an imbalance of {ratio} is not a ratio of most to least frequent; give 1 or more")
    return np.asarray(ratio ** (-np.arange(num_classes) / max(num_classes - 1, 1)), np.float64)


def long_tail_counts(largest: int, num_classes: int, ratio: float) -> npt.NDArray[np.int64]:
    """Samples per class when the first keeps `largest`; rounded down as in the published code, but never to none.

    Source: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019,
    arXiv:1906.07413, `imbalance_cifar.py`.
    """
    # 450.00000000000006 and 449.99999999999994 are the same count
    exact = np.round(largest * long_tail(num_classes, ratio), 6)
    return np.maximum(exact.astype(np.int64), 1)
