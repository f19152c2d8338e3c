"""Random crop around rare classes."""

from typing import Any

import albumentations as A
import numpy as np

from lightseg.data.targets import is_class
from lightseg.data.transforms.rare_classes import classes_present
from lightseg.data.types import Array
from lightseg.errors import ConfigError, require
from lightseg.labels import IGNORE


class RareClassCrop(A.RandomCrop):  # type: ignore[misc]
    """Random crop of image and mask, which with some probability contains a pixel of a rare class.

    A rare class in the mask is drawn uniformly, then one of its pixels, then a position of the crop that contains the
    pixel. A mask without a rare class is cropped at a random position.

    Args:
        height: Height of the crop in pixels; a smaller image is padded on both sides with 0, its mask with void.
        width: Width of the crop in pixels, likewise.
        focus: Probability, 0 to 1, that the crop contains a pixel of a rare class if the mask holds one.

    Attributes:
        rare: Ids of the rare classes; set at the start of training.
        chooses: Whether any image so far was larger than the crop, so that its position could be chosen; None before
            the first image.

    Raises:
        ConfigError: If a value is outside its range; when it is called, if there is no mask, or `rare` is not set.
    """

    def __init__(self, height: int, width: int, focus: float = 0.5) -> None:
        require(height > 0 and width > 0, f"RareClassCrop: sides must be 1 pixel or more, got {height}×{width}")
        require(0 <= focus <= 1, f"RareClassCrop: focus: must be 0 to 1, got {focus}")
        super().__init__(height, width, pad_if_needed=True, fill_mask=IGNORE)
        self.focus = focus
        self.rare: tuple[int, ...] | None = None
        self.chooses: bool | None = None

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Return the coordinates of the crop; called by albumentations."""
        random_crop: dict[str, Any] = super().get_params_dependent_on_data(params, data)
        height, width = params["shape"][:2]
        self.chooses = bool(self.chooses) or height > self.height or width > self.width
        pixel = self._rare_pixel(_target(data)) if self.py_random.random() < self.focus else None
        if pixel is None:
            return random_crop
        y, x = self._start(pixel[0], self.height, height), self._start(pixel[1], self.width, width)
        return {**random_crop, "crop_coords": (x, y, x + self.width, y + self.height)}

    def _rare_pixel(self, mask: Array | None) -> tuple[int, int] | None:
        """Return row and column of a random pixel of a rare class; None without one."""
        if mask is None:
            raise ConfigError("RareClassCrop: needs masks, and this data has class ids; use albumentations.RandomCrop")
        if self.rare is None:
            raise ConfigError("RareClassCrop: the rare classes are not set; use it in data.train_transforms")
        labels = classes_present(mask, self.rare)
        if not labels:
            return None
        pixels = np.flatnonzero(is_class(mask, self.py_random.choice(labels)))
        row, column = divmod(int(pixels[self.py_random.randrange(len(pixels))]), mask.shape[1])
        return row, column

    def _start(self, pixel: int, size: int, side: int) -> int:
        """Return a random start of a range of `size` within `side` that contains a pixel; 0 if the image is padded."""
        return int(self.py_random.randint(max(0, pixel - size + 1), max(0, min(pixel, side - size))))


def _target(data: dict[str, Any]) -> Array | None:
    """Return the mask `(H, W)` or `(H, W, C)` of a transform's input; None without one."""
    mask: Array | None = data.get("mask")
    return mask if mask is not None or "masks" not in data else np.moveaxis(data["masks"], 0, -1)
