"""Targets of samples: one class per pixel or image, or one channel per class where classes may overlap.

Their number of axes tells them apart. With one class, the target of an image is a class id, and a mask is `(H, W)`;
with one channel per class, the target of an image is `(K,)`, and a mask is `(H, W, K)`, of 0 (absent), 1 (present) and
`IGNORE`, which is void for that class alone.
"""

import numpy as np
import numpy.typing as npt

from lightseg.data.types import Array


def is_multilabel(target: Array | int) -> bool:
    """Return whether the target of a sample has one channel per class."""
    return np.ndim(target) % 2 == 1


def is_class(target: Array | int, label: int) -> npt.NDArray[np.bool_]:
    """Return where a class is present: `(H, W)` of a mask, `()` of the target of an image."""
    return np.asarray(np.asarray(target)[..., label] == 1 if is_multilabel(target) else np.equal(target, label))
