"""Small fake copies of real datasets, and folders of images and masks as users have them."""

from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

# all 256 entries, since Pillow stores a shorter palette with fewer bits per pixel
VOC_PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] + [0] * 3 * 252


def save(path, array, **options):
    """Write an array as the file that its suffix says; 16-bit colour too."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.asarray(array)
    if array.dtype == np.uint16 and array.ndim == 3:
        cv2.imwrite(str(path), array[..., ::-1])
    else:
        Image.fromarray(array.astype(np.uint8) if array.dtype == np.int64 else array).save(path, **options)
    return path


def save_palette(path, indices, palette=VOC_PALETTE):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(indices, np.uint8), "P")
    image.putpalette(palette)
    image.save(path)
    return path


def picture(seed=0, height=12, width=16):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ids(seed=0, height=12, width=16, values=(0, 1)):
    """A mask that holds every one of the values."""
    mask = np.random.default_rng(seed).choice(np.array(values, np.uint8), (height, width))
    mask.flat[: len(values)] = values
    return mask


def folder(root, count=10, values=(0, 1), images="images", masks="masks", first=0):
    """`count` images and masks of values; returns the root."""
    for index in range(first, first + count):
        save(Path(root) / images / f"{index}.png", picture(index))
        save(Path(root) / masks / f"{index}.png", ids(index, values=values))
    return Path(root)


def camvid(root):
    for start, split in enumerate(("train", "val", "test")):
        for index in range(3 * start, 3 * start + 3):
            save(root / split / f"{index:04}.jpg", picture(index), quality=95)
            save(root / f"{split}annot" / f"{index:04}.png", ids(index, values=range(12)))
    return root


def oxford_pet(root):
    base = root / "oxford-iiit-pet"
    for name, count in (("trainval", 10), ("test", 4)):
        stems = [f"{name}_pug_{index}" for index in range(count)]
        for index, stem in enumerate(stems):
            size = {"height": 10 + index, "width": 14}
            save(base / "images" / f"{stem}.jpg", picture(index, **size))
            save(base / "annotations" / "trimaps" / f"{stem}.png", ids(index, values=(1, 2, 3), **size))
        (base / "annotations" / f"{name}.txt").write_text("".join(f"{stem} 1 1 1\n" for stem in stems))
    return root


def pascal_voc(root):
    base = root / "VOCdevkit" / "VOC2012"
    (base / "ImageSets" / "Segmentation").mkdir(parents=True)
    for name, count in (("train", 10), ("val", 4)):
        stems = [f"2007_{name}{index}" for index in range(count)]
        for index, stem in enumerate(stems):
            save(base / "JPEGImages" / f"{stem}.jpg", picture(index))
            save_palette(base / "SegmentationClass" / f"{stem}.png", ids(index, values=(0, 1, 2, 3, 255)))
        (base / "ImageSets" / "Segmentation" / f"{name}.txt").write_text("\n".join(stems) + "\n")
    return root


GEO_TAGS = [
    (33550, "d", 3, (10.0, 10.0, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 399960.0, 5000040.0, 0.0), True),
    (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633), True),
    (34737, "s", 0, "WGS 84 / UTM zone 33N|", True),
]
"""Tags of a GeoTIFF of pixels of 10 metres, as `tifffile` writes them."""


def geotiff(path, array, **options):
    """Write an array `(H, W, C)` as a GeoTIFF."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None, **options}
    tifffile.imwrite(path, array, extratags=GEO_TAGS, **options)
    return path


def raw_tags(path):
    """Return type, count and bytes of the tags of the georeference of a TIFF."""
    with tifffile.TiffFile(path) as file:
        tags = {}
        for tag in file.pages[0].tags:
            if tag.code in (33550, 33922, 34264, 34735, 34736, 34737):
                file.filehandle.seek(tag.valueoffset)
                tags[tag.code] = int(tag.dtype), tag.count, file.filehandle.read(tag.valuebytecount)
        return tags
