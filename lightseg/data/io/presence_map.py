"""Lookup from the values of the mask of one class to absent, present and void, where classes may overlap."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from lightseg.data.io.label_advice import Declared, Key, advise_presence, looks_interpolated
from lightseg.data.io.label_map import LabelMap, UndeclaredError
from lightseg.data.io.mask_consistency import MaskValues
from lightseg.data.io.masks import read_mask_channels
from lightseg.data.types import Array
from lightseg.errors import DataError, require
from lightseg.labels import IGNORE

_PRESENT = (1, IGNORE)
"""Values of a class by default, of which the masks use one."""


class PresenceMap(LabelMap):
    """Lookup from the values of the mask of one class to 0, where it is absent, 1, where it is present, and `IGNORE`.

    Args:
        positive: Values where the class is present; 0 is where it is absent. None: 1 or 255, whichever the masks use.
        ignore: Values that are void; None: none.
        threshold: Least gray value where the class is present; lossy files are accepted with it.
        channel: Channel of the files that holds the values, from 0 on, or `alpha`; None: all of them.

    Raises:
        ConfigError: If the options contradict each other.
    """

    def __init__(
        self,
        positive: Sequence[int] | None = None,
        ignore: Sequence[int] | None = None,
        threshold: int | None = None,
        channel: int | Literal["alpha"] | None = None,
    ) -> None:
        void = set(ignore or ())
        present = [value for value in _PRESENT if value not in void] if positive is None else list(positive)
        require(
            threshold is None or positive is None,
            "data.positive: data.threshold says where a class is present; remove one of the two",
        )
        require(0 not in {*present, *void}, "data.positive, data.ignore: 0 is where a class is absent; leave it out")
        require(bool(present), "data.positive: names no value, so that no class is present anywhere; name one")
        values = {0: "absent", **dict.fromkeys(present, "present")}
        super().__init__(["absent", "present"], values if threshold is None else None, None, ignore, threshold, channel)
        self._is_either = positive is None and threshold is None and void.isdisjoint(_PRESENT)

    def channel_values(self, path: Path | str, channels: int) -> Array:
        """Read a mask file with a channel, or a page, for each class as its values, `(H, W, C)` integer.

        Raises:
            DataError: If the file is broken.
        """
        is_smooth = self._threshold is not None
        values = read_mask_channels(path, channels, is_smooth)
        return self._apply_threshold(path, values) if is_smooth else values

    def to_train_ids(self, path: Path | str, mask: Array) -> npt.NDArray[np.uint8]:
        """Look up where the class is present, `(H, W)`; see `LabelMap`.

        Raises:
            DataError: If it holds both 1 and 255, and no option says whether 255 is void.
            UndeclaredError: If a value or color is not declared; the message has the config line that declares it.
        """
        if self._is_either and all((mask == value).any() for value in _PRESENT):
            raise DataError(
                f"{path}: holds 1 and 255, and each alone is where a class is present; if 255 is void, add to "
                "data.init_args:  ignore: [255]  and if not:  positive: [1, 255]"
            )
        return super().to_train_ids(path, mask)

    def mask_values(self) -> MaskValues:
        """Create a comparison of masks with each other."""
        return MaskValues(set(), has_default_void=self._is_either, is_void_alone=False)

    def undeclared_error(self, path: str, pixel_counts: Counter[Key], other_masks: str = "") -> UndeclaredError:
        """Return the error for undeclared values or colors of one or several masks; see `LabelMap`."""
        declared = Declared(self.classes, self._values, {})
        return UndeclaredError(
            advise_presence(path + other_masks, pixel_counts, declared),
            path,
            pixel_counts,
            undeclared=set(pixel_counts) - self._values.keys(),
            is_interpolated=looks_interpolated(pixel_counts, declared),
        )
