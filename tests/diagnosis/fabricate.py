"""Folders of images and masks without defects, and typical defects."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from lightseg.data import Shapes

CLASSES = "[background, circle, square, triangle, star, ring]"
SOUND = {"train": 24, "val": 8, "test": 8}


def sound(root, sizes=SOUND, side=96):
    """Write painted shapes as PNG files such as `train/images/03.png`, without defects."""
    data = Shapes(
        image_size=side, train_size=sizes["train"], val_size=sizes["val"], test_size=sizes.get("test", 0), void_border=0
    )
    for split in sizes:
        for index in range(sizes[split]):
            image, mask = data.dataset(split)[index]
            write(root / split / "images" / f"{index:02}.png", image)
            write(root / split / "masks" / f"{index:02}.png", mask)
    return root


def write(path, array, **options):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def read(path):
    return np.array(Image.open(path))


def truncate(root):
    path = root / "train/images/00.png"
    path.write_bytes(path.read_bytes()[:2000])
    return path


def remove_mask(root):
    (root / "train/masks/01.png").unlink()
    return root / "train/images/01.png"


def remove_image(root):
    (root / "val/images/01.png").unlink()
    return root / "val/masks/01.png"


def shrink_mask(root):
    path = root / "train/masks/02.png"
    write(path, read(path)[:-4])
    return path


def undeclare(root):
    path = root / "train/masks/03.png"
    mask = read(path)
    mask[:20, :20] = 17
    write(path, mask)
    return path


def compress_mask(root):
    path = root / "train/masks/04.png"
    write(path.with_suffix(".jpg"), read(path))
    path.unlink()
    return path.with_suffix(".jpg")


def interpolate(root):
    """Resize a mask down and up again by bilinear interpolation."""
    path = root / "train/masks/11.png"
    small = Image.fromarray(read(path)).resize((64, 64), Image.Resampling.NEAREST)
    write(path, np.array(small.resize((96, 96), Image.Resampling.BILINEAR)))
    return path


def shift(root, split="train", number=6, pixels=12):
    path = root / split / "masks" / f"{number:02}.png"
    mask = read(path)
    moved = np.zeros_like(mask)
    moved[:, pixels:] = mask[:, :-pixels]
    write(path, moved)
    return path


def empty(root):
    path = root / "train/masks/07.png"
    write(path, np.full_like(read(path), 255))
    return path


def leak(root):
    """Copy an image of `train` to `val`, as a JPEG and slightly lighter."""
    image = read(root / "train/images/08.png")
    write(root / "val/masks/50.png", read(root / "train/masks/08.png"))
    lighter = np.clip(image.astype(np.int16) + 6, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(lighter).save(buffer, "JPEG", quality=85)
    path = root / "val/images/50.jpg"
    path.write_bytes(buffer.getvalue())
    return path


DEFECTS = {
    "broken file": truncate,
    "image without mask": remove_mask,
    "mask without image": remove_image,
    "size": shrink_mask,
    "undeclared values": undeclare,
    "lossy mask": compress_mask,
    "interpolated mask": interpolate,
    "shifted": shift,
    "empty mask": empty,
    "near duplicates across splits": leak,
}
"""The check that finds a defect, and what plants it and returns the file that the finding must name."""
