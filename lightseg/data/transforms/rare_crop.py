"""Random crop that looks for rare classes."""

from typing import Any

import albumentations as A
import numpy as np
import numpy.typing as npt

from lightseg.data.transforms.rare_classes import classes_present
from lightseg.errors import ConfigError, require
from lightseg.labels import IGNORE


class RareClassCrop(A.RandomCrop):  # type: ignore[misc]
    """Crops masks with their images; now and then around a pixel of a rare class, else anywhere.

    That class is drawn among the rare ones in the mask, then one of its pixels, then the place of the crop among those
    that hold the pixel; each choice is as likely as any other. A mask without a rare class is cropped anywhere.

    Args:
        height: Height of the crop in pixels; a smaller image is padded on both sides with 0, its mask with void.
        width: Width of the crop in pixels, likewise.
        focus: Probability that the crop is laid around a rare class, where the mask holds one.

    Attributes:
        rare: Ids of the rare classes; training sets them.
        chooses: Whether any image so far was larger than the crop, so that there was a place to choose; None before the
            first.

    Raises:
        ConfigError: If a value is outside its range; when it is called, if there is no mask, or `rare` is not set.
    """

    def __init__(self, height: int, width: int, focus: float = 0.5) -> None:
        require(height > 0 and width > 0, f"RareClassCrop: {height}×{width} is no size; give 1 or more pixels")
        require(0 <= focus <= 1, f"RareClassCrop: focus {focus} is not a probability, 0 to 1")
        super().__init__(height, width, pad_if_needed=True, fill_mask=IGNORE)
        self.focus = focus
        self.rare: tuple[int, ...] | None = None
        self.chooses: bool | None = None

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Return where to crop, as albumentations asks for it."""
        anywhere: dict[str, Any] = super().get_params_dependent_on_data(params, data)
        height, width = params["shape"][:2]
        self.chooses = bool(self.chooses) or height > self.height or width > self.width
        pixel = self._rare_pixel(data.get("mask")) if self.py_random.random() < self.focus else None
        if pixel is None:
            return anywhere
        top, left = self._start(pixel[0], self.height, height), self._start(pixel[1], self.width, width)
        return {**anywhere, "crop_coords": (left, top, left + self.width, top + self.height)}

    def _rare_pixel(self, mask: npt.NDArray[np.integer] | None) -> tuple[int, int] | None:
        """Row and column of a pixel of a rare class, if there is one."""
        if mask is None:
            raise ConfigError("RareClassCrop: needs masks, and a class id has none; use albumentations.RandomCrop")
        if self.rare is None:
            raise ConfigError("RareClassCrop: nothing tells it which classes are rare; use it in data.train_transforms")
        labels = classes_present(mask, self.rare)
        if not labels:
            return None
        pixels = np.flatnonzero(mask == self.py_random.choice(labels))
        row, column = divmod(int(pixels[self.py_random.randrange(len(pixels))]), mask.shape[1])
        return row, column

    def _start(self, pixel: int, size: int, length: int) -> int:
        """Return the range of starts of a stretch of `size` within `length` that holds a pixel; 0 where padded."""
        return int(self.py_random.randint(max(0, pixel - size + 1), max(0, min(pixel, length - size))))
