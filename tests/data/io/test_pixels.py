# ruff: noqa: E731 - a table of functions that write a file
"""Pixels of every format, mode, depth and photometric interpretation that can be written."""

import contextlib
import io
import itertools
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from lightseg.data.io.images import image_size, read_image
from lightseg.data.io.masks import read_mask
from lightseg.errors import DataError
from tests.data.io import raw_files

HEIGHT, WIDTH = 6, 9
RNG = np.random.default_rng(0)


class Cell(NamedTuple):
    """Kind of file.

    Attributes:
        name: Its name, with the suffix of the file.
        write: Writes it.
        image: Result of `read_image`, 0..1, `(H, W, C)`; None: the file is refused.
        mask: Result of `read_mask`; None: the file is refused.
        alpha: The alpha, 0..1, beside the image if four channels, or two, are requested.
        tolerance: Greatest difference of an image's value, of a lossy format.
    """

    name: str
    write: Callable[[Any], object]
    image: Any
    mask: Any
    alpha: Any = None
    tolerance: float = 1e-6


def numbers(white, channels, dtype=None):
    """Return random values `(H, W, channels)` of a depth, including the least and the greatest."""
    values = RNG.integers(0, white + 1, (HEIGHT, WIDTH, channels))
    values[0, 0], values[0, 1] = 0, white
    return values.astype(dtype or (np.uint8 if white < 256 else np.uint16))


def squeezed(values):
    return values[..., 0] if values.shape[2] == 1 else values


def plain(name, write, values, white, alpha=False, lossy=None, **more):
    """Return the cell of a file of gray or colors; `lossy` is the tolerance of a format that is refused as a mask."""
    colors = values[..., :-1] if alpha else values
    return Cell(
        name,
        write,
        colors / white,
        None if lossy is not None else squeezed(colors),
        values[..., -1:] / white if alpha else None,
        tolerance=max(lossy or 0, 1e-6),
        **more,
    )


def palette_cell(name, write, indices, colors, alphas=None, lossy=None):
    looked_up = np.asarray(colors)[indices[..., 0]] / 255
    alpha = None if alphas is None else np.asarray(alphas)[indices] / 255
    return Cell(name, write, looked_up, indices[..., 0], alpha)


def pillow_image(mode, white=255):
    values = numbers(white, len(mode) if mode in ("LA", "RGB", "RGBA", "CMYK") else 1)
    if mode == "1":
        values = numbers(1, 1)
        return values, Image.fromarray(values[..., 0] * 255).convert("1")
    if mode == "I;16":
        values = numbers(65535, 1)
        return values, Image.fromarray(values[..., 0])
    if mode == "LA":
        return values, Image.merge("LA", [Image.fromarray(values[..., i].copy()) for i in (0, 1)])
    if mode == "CMYK":
        return values, Image.fromarray(values, "CMYK")
    return values, Image.fromarray(squeezed(values))


def pillow_cells():
    white = {"1": 1, "I;16": 65535}
    formats = {
        "png": [("1", "L", "LA", "RGB", "RGBA", "I;16"), [{}, {"compress_level": 0}, {"optimize": True}]],
        "tif": [
            ("1", "L", "LA", "RGB", "RGBA", "I;16"),
            [{"compression": c} for c in ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "zstd")]
            + [{"big_tiff": True}],
        ],
        "bmp": [("1", "L", "RGB", "RGBA"), [{}]],
        "gif": [("1", "L"), [{}, {"interlace": 0}]],
        "ppm": [("1", "L", "RGB", "I;16"), [{}]],
        "jfif": [("L", "RGB"), [{"quality": 100, "subsampling": 0}]],
        "jpg": [("L", "RGB"), [{"quality": 100, "subsampling": 0, "progressive": p} for p in (False, True)]],
        "webp": [("RGB", "RGBA"), [{"lossless": True, "exact": True}]],
        "jp2": [("L", "LA", "RGB", "RGBA", "I;16"), [{}]],
        "avif": [("L", "RGB", "RGBA"), [{"quality": 100, "subsampling": "4:4:4"}]],
    }
    lossy = {"jfif": 0.03, "jpg": 0.03, "webp": 0.0, "jp2": 0.0, "avif": 0.03}
    for suffix, (modes, options) in formats.items():
        for mode, save_options in itertools.product(modes, options):
            values, image = pillow_image(mode)
            if suffix == "gif" or (suffix, mode) == ("bmp", "RGBA"):
                # a GIF of two grays is one of 0 and 255, and the fourth byte of a BMP is no alpha
                values = values[..., :3] * np.uint8(255 if mode == "1" else 1)
                mode = mode.removesuffix("A").replace("1", "L")
            kinds = {"ppm": {"1": "pbm", "RGB": "ppm"}.get(mode, "pgm")}
            form = {"jfif": {"format": "JPEG"}}.get(suffix, {})
            save = lambda path, image=image, kwargs={**save_options, **form}: image.save(path, **kwargs)
            name = f"pillow {mode} {save_options}.{kinds.get(suffix, suffix)}"
            yield plain(name, save, values, white.get(mode, 255), mode in ("LA", "RGBA"), lossy.get(suffix))
    for compression, photometric in itertools.product(("group3", "group4", "tiff_ccitt", "raw", "packbits"), (0, 1)):
        values, image = pillow_image("1")
        save = lambda path, i=image, c=compression, p=photometric: i.save(path, compression=c, tiffinfo={262: p})
        yield plain(f"pillow fax {compression} {photometric}.tif", save, values, 1)
    colors = RNG.integers(0, 256, (256, 3)).astype(np.uint8)
    for suffix, count in itertools.product(("png", "gif", "bmp", "tif"), (2, 4, 16, 256)):
        indices = numbers(count - 1, 1)
        for transparent in (None, 1) if suffix in ("png", "gif") else (None,):
            image = Image.fromarray(indices[..., 0], "P")
            image.putpalette(colors[:count].tobytes())
            alphas = None
            if transparent is not None:
                alphas = np.full(256, 255)
                alphas[transparent] = 0
            save_options = {} if transparent is None else {"transparency": transparent}
            save = lambda path, image=image, kwargs=save_options: image.save(path, **kwargs)
            if suffix == "gif":
                values = colors[indices[..., 0]]
                yield plain(f"pillow P {count} {transparent}.gif", save, values, 255)
                continue
            yield palette_cell(f"pillow P {count} {transparent}.{suffix}", save, indices, colors, alphas)
    for suffix in ("tif", "jpg"):
        values, image = pillow_image("CMYK")
        rgb = np.asarray(image.convert("RGB")) / 255
        save_options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
        save = lambda path, image=image, kwargs=save_options: image.save(path, **kwargs)
        yield Cell(f"pillow CMYK.{suffix}", save, rgb, None, tolerance=0.03 if suffix == "jpg" else 1e-6)
    for mode, suffix in itertools.product(("YCbCr", "LAB"), ("tif", "jpg")):
        image = Image.fromarray(numbers(255, 3), mode)
        if (mode, suffix) == ("YCbCr", "jpg"):
            rgb, save = (
                np.asarray(image.convert("RGB")) / 255,
                lambda path, image=image: image.save(path, quality=100, subsampling=0),
            )
            # out-of-range colors are clipped once more by the decoder
            yield Cell("pillow YCbCr.jpg", save, rgb, None, tolerance=0.03)
        else:
            yield Cell(f"pillow {mode}.{suffix}", lambda path, image=image: image.save(path), None, None)
    for array, suffix in ((np.float32, "tif"), (np.int32, "tif")):
        values = numbers(1, 1).astype(array)
        save = lambda path, v=values: Image.fromarray(v[..., 0]).save(path)
        yield Cell(f"pillow {array.__name__}.{suffix}", save, values if array is np.float32 else None, values[..., 0])


def opencv_cells():
    kinds = {
        "png": (
            [(255, c) for c in (1, 3, 4)] + [(65535, c) for c in (1, 3, 4)],
            [[], [cv2.IMWRITE_PNG_COMPRESSION, 0]],
        ),
        "tif": (
            [(255, c) for c in (1, 3, 4)] + [(65535, c) for c in (1, 3, 4)],
            [[], [cv2.IMWRITE_TIFF_COMPRESSION, 1]],
        ),
        "bmp": ([(255, c) for c in (1, 3, 4)], [[]]),
        "pgm": ([(255, 1), (65535, 1)], [[], [cv2.IMWRITE_PXM_BINARY, 0]]),
        "ppm": ([(255, 3), (65535, 3)], [[], [cv2.IMWRITE_PXM_BINARY, 0]]),
        "jp2": ([(255, 1), (255, 3), (65535, 1), (65535, 3)], [[]]),
        "webp": ([(255, 3), (255, 4)], [[cv2.IMWRITE_WEBP_QUALITY, 101]]),
        "jpg": ([(255, 1), (255, 3)], [[cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]]),
    }
    lossy = {"jp2": 0.1, "webp": 0.0, "jpg": 0.03}
    for suffix, (depths, options) in kinds.items():
        for (white, channels), option in itertools.product(depths, options):
            values = numbers(white, channels)
            if suffix == "jp2":
                values = np.kron(values, np.ones((8, 8, 1), values.dtype))
            if suffix == "webp" and channels == 4:
                # the colors of transparent pixels are not kept
                values[..., 3] |= 1
            order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
            write = lambda path, v=values[..., order], o=option: cv2.imwrite(str(path), v, o)
            cell = plain(
                f"opencv {white} {channels} {option}.{suffix}", write, values, white, channels == 4, lossy.get(suffix)
            )
            if (suffix, channels) == ("tif", 4):
                # the file does not define the fourth channel
                cell = cell._replace(image=values / white, alpha=None, mask=None)
            yield cell
    for dtype, channels in itertools.product((np.float32, np.float64), (1, 3)):
        values = numbers(1, channels).astype(dtype)
        write = lambda path, v=values[..., ::-1]: cv2.imwrite(str(path), np.ascontiguousarray(v))
        yield Cell(f"opencv {dtype.__name__} {channels}.tif", write, values, values[..., 0] if channels == 1 else None)


def tiff(values, **options):
    return lambda path: tifffile.imwrite(path, values, **options)


def tifffile_cells():
    layouts = [
        {"byteorder": order, "compression": compression, "tile": tile}
        for order, compression, tile in itertools.product("<>", (None, "zlib", "lzw"), (None, (16, 16)))
    ]
    for white, photometric, options in itertools.product((255, 65535), ("minisblack", "miniswhite"), layouts):
        values = numbers(white, 1)
        stored = white - values if photometric == "miniswhite" else values
        write = tiff(stored[..., 0].astype(values.dtype), photometric=photometric, **options)
        yield plain(f"tifffile {white} {photometric} {options}.tif", write, values, white)
    for white, planar, options in itertools.product((255, 65535), ("contig", "separate"), layouts):
        values = numbers(white, 3)
        stored = np.moveaxis(values, -1, 0) if planar == "separate" else values
        write = tiff(stored, photometric="rgb", planarconfig=planar, **options)
        yield plain(f"tifffile rgb {white} {planar} {options}.tif", write, values, white)
    for white, planar, kind in itertools.product((255, 65535), ("contig", "separate"), ("unassalpha", "assocalpha")):
        for channels, photometric in ((2, "minisblack"), (2, "miniswhite"), (4, "rgb")):
            values = numbers(white, channels)
            stored = values.copy()
            if photometric == "miniswhite":
                stored[..., 0] = white - stored[..., 0]
            stored = np.moveaxis(stored, -1, 0) if planar == "separate" else stored
            write = tiff(stored, photometric=photometric, planarconfig=planar, extrasamples=[kind])
            yield plain(f"tifffile {photometric} {kind} {white} {planar}.tif", write, values, white, alpha=True)
    for photometric, stored in itertools.product(("minisblack", "miniswhite"), (0, 1)):
        values = numbers(1, 1)
        write = tiff(
            values[..., 0] != (photometric == "miniswhite"),
            photometric=photometric,
            compression=("packbits" if stored else None),
        )
        cell = plain(f"tifffile bits {photometric} {stored}.tif", write, values, 1)
        # by default, it writes masks of booleans so
        yield cell._replace(mask=None) if photometric == "miniswhite" else cell
    for bits, photometric in itertools.product((2, 3, 4, 6, 7), ("minisblack", "miniswhite")):
        values = numbers((1 << bits) - 1, 1)
        stored = (1 << bits) - 1 - values if photometric == "miniswhite" else values
        write = tiff(stored[..., 0].astype(np.uint8), photometric=photometric, bitspersample=bits)
        yield plain(f"tifffile {bits} bits {photometric}.tif", write, values, (1 << bits) - 1)
    for bits, photometric in itertools.product((10, 12, 14), ("minisblack", "miniswhite")):
        values = numbers((1 << bits) - 1, 1)
        stored = (1 << bits) - 1 - values if photometric == "miniswhite" else values
        write = tiff(stored[..., 0].astype(np.uint16), photometric=photometric, bitspersample=bits)
        yield plain(f"tifffile {bits} bits {photometric}.tif", write, values, (1 << bits) - 1)
    for white in (255, 65535):
        indices = numbers(min(white, 4095), 1, np.uint8 if white == 255 else np.uint16)
        colormap = RNG.integers(0, 256, (3, white + 1)).astype(np.uint16) * 257
        for order in "<>":
            write = tiff(indices[..., 0], photometric="palette", colormap=colormap, byteorder=order)
            yield palette_cell(f"tifffile palette {white} {order}.tif", write, indices, (colormap >> 8).T)
    for dtype, channels in itertools.product((np.float16, np.float32, np.float64), (1, 3)):
        values = numbers(1, channels).astype(dtype)
        for order in "<>":
            write = tiff(squeezed(values), photometric="rgb" if channels == 3 else "minisblack", byteorder=order)
            mask = values[..., 0] if channels == 1 else None
            yield Cell(f"tifffile {np.dtype(dtype).name} {channels} {order}.tif", write, values, mask)
            fraction = values * 0.75
            write = tiff(squeezed(fraction.astype(dtype)), photometric="rgb" if channels == 3 else "minisblack")
            yield Cell(f"tifffile fraction {np.dtype(dtype).name} {channels} {order}.tif", write, fraction, None)
    for dtype, photometric in itertools.product(
        (np.int8, np.int16, np.int32, np.int64, np.uint32, np.uint64), ("minisblack", "miniswhite")
    ):
        values = numbers(100, 1).astype(dtype)
        if dtype in (np.int8, np.int16, np.int32, np.int64):
            values[0, 0] = -1
        mask = values[..., 0] if photometric == "minisblack" else None
        yield Cell(
            f"tifffile {np.dtype(dtype).name} {photometric}.tif",
            tiff(values[..., 0], photometric=photometric),
            None,
            mask,
        )
    for white, planar in itertools.product((255, 65535), ("contig", "separate")):
        inks = numbers(white, 4)
        share = inks / white
        rgb = (1 - share[..., :3]) * (1 - share[..., 3:])
        stored = np.moveaxis(inks, -1, 0) if planar == "separate" else inks
        write = tiff(stored, photometric="separated", planarconfig=planar)
        yield Cell(f"tifffile cmyk {white} {planar}.tif", write, rgb, None, tolerance=1.01 / white)
    for photometric in ("cielab", "icclab", "itulab", "ycbcr", "logluv"):
        with contextlib.suppress(Exception):
            write = tiff(numbers(255, 3), photometric=photometric)
            yield Cell(f"tifffile {photometric}.tif", write, None, None)
    for compression, channels in itertools.product(
        ("jpeg", "webp", "jpeg2000", "jpegxl", "zstd", "lzma", "png"), (1, 3)
    ):
        if (compression, channels) == ("webp", 1):
            continue
        values = np.kron(numbers(255, channels), np.ones((16, 16, 1), np.uint8))
        args = {"compressionargs": {"level": 100}, "subsampling": (1, 1)} if compression == "jpeg" else {}
        write = tiff(
            squeezed(values), photometric="rgb" if channels == 3 else "minisblack", compression=compression, **args
        )
        lossy = {"jpeg": 0.3, "webp": 0.03, "jpeg2000": 0.0, "jpegxl": 0.0}.get(compression)
        yield plain(f"tifffile {compression} {channels}.tif", write, values, 255, lossy=lossy)
    for orientation, white in itertools.product(range(1, 9), (1, 255)):
        values = numbers(white, 1)
        stored = TURNS[orientation](values)[..., 0]
        write = tiff(
            stored.astype(bool) if white == 1 else stored,
            photometric="minisblack",
            extratags=[(274, 3, 1, orientation, True)],
        )
        yield plain(f"tifffile turned {orientation} {white}.tif", write, values, white)
    pages = numbers(255, 3)
    write = tiff(np.moveaxis(pages, -1, 0), photometric="minisblack")
    yield Cell("tifffile three pages as three bands.tif", write, pages / 255, None)

    def two_sizes(path):
        with tifffile.TiffWriter(path) as file:
            file.write(np.zeros((9, 9), np.uint8))
            file.write(np.zeros((7, 7), np.uint8))

    yield Cell("tifffile pages of two sizes.tif", two_sizes, None, None)
    values = numbers(255, 1)

    def with_overview(path):
        with tifffile.TiffWriter(path) as file:
            file.write(values[..., 0])
            file.write(values[::2, ::2, 0], subfiletype=1)

    yield plain("tifffile with an overview.tif", with_overview, values, 255)


# how a picture is stored that EXIF's number turns the right way up
TURNS = {
    1: lambda up: up,
    2: np.fliplr,
    3: lambda up: np.rot90(up, 2),
    4: np.flipud,
    5: lambda up: np.swapaxes(up, 0, 1),
    6: lambda up: np.rot90(up, 1),
    7: lambda up: np.swapaxes(np.rot90(up, 2), 0, 1),
    8: lambda up: np.rot90(up, -1),
}


def imagecodecs_cells():
    for white, channels in itertools.product((255, 65535), (1, 2, 3, 4)):
        values = numbers(white, channels)
        write = lambda path, v=values: path.write_bytes(imagecodecs.png_encode(squeezed(v)))
        yield plain(f"imagecodecs {white} {channels}.png", write, values, white, channels in (2, 4))
    for bits, channels in itertools.product((1, 2, 4, 7, 8, 10, 12, 16), (1, 2, 3, 4)):
        white = (1 << bits) - 1
        values = numbers(white, channels)
        for codec in ("jp2", "j2k"):
            if codec == "j2k" and channels in (2, 4):
                # a bare codestream does not say what is alpha
                continue
            write = lambda path, v=values, b=bits, c=codec: path.write_bytes(
                imagecodecs.jpeg2k_encode(squeezed(v), level=0, bitspersample=b, codecformat=c)
            )
            yield plain(f"imagecodecs {bits} {channels}.{codec}", write, values, white, channels in (2, 4), lossy=0.0)
    for bits, channels in itertools.product((8, 10, 12), (1, 3, 4)):
        white = (1 << bits) - 1
        values = numbers(white, channels)
        write = lambda path, v=values, b=bits: path.write_bytes(
            imagecodecs.avif_encode(squeezed(v), level=100, bitspersample=b)
        )
        yield plain(f"imagecodecs {bits} {channels}.avif", write, values, white, channels == 4, lossy=0.01)
    for precision, channels in itertools.product((8, 12), (1, 3)):
        values = numbers((1 << precision) - 1, channels)
        write = lambda path, v=values, p=precision: path.write_bytes(
            imagecodecs.jpeg_encode(squeezed(v), level=100, bitspersample=p, subsampling="444")
        )
        if precision == 12:
            yield Cell(f"imagecodecs 12 bits {channels}.jpg", write, None, None)
        else:
            yield plain(f"imagecodecs {precision} {channels}.jpg", write, values, 255, lossy=0.03)
    for encode, suffix in (
        (imagecodecs.jpegls_encode, "jpg"),
        (imagecodecs.jpegxl_encode, "png"),
        (imagecodecs.qoi_encode, "png"),
    ):
        write = lambda path, e=encode: path.write_bytes(e(numbers(255, 3)))
        yield Cell(f"imagecodecs {encode.__name__}.{suffix}", write, None, None)
    for channels in (3, 4):
        values = numbers(255, channels)
        values[..., 3:] |= 1
        write = lambda path, v=values: path.write_bytes(imagecodecs.webp_encode(v, lossless=True))
        yield plain(f"imagecodecs {channels}.webp", write, values, 255, channels == 4, lossy=0.0)


def raw_cells():
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 4: (8, 16), 6: (8, 16)}
    samples = {0: 1, 2: 3, 4: 2, 6: 4}
    for color_type, interlaced in itertools.product(depths, (False, True)):
        for bits in depths[color_type]:
            white = (1 << bits) - 1
            values = numbers(white, samples[color_type])
            keys = [None] if color_type > 2 else [None, b"".join(int(v).to_bytes(2, "big") for v in values[2, 2])]
            for key in keys:
                data = raw_files.png(values, bits, color_type, interlaced, transparency=key)
                name = f"raw type {color_type} {bits} bits {interlaced} {key is not None}.png"
                yield plain(name, lambda path, data=data: path.write_bytes(data), values, white, color_type > 3)
    colors = RNG.integers(0, 256, (256, 3)).astype(np.uint8)
    for bits, interlaced, transparent in itertools.product((1, 2, 4, 8), (False, True), (False, True)):
        indices = numbers((1 << bits) - 1, 1)
        alphas = np.full(256, 255)
        alphas[:2] = 7, 99
        key = bytes([7, 99]) if transparent else None
        data = raw_files.png(indices, bits, 3, interlaced, colors[: 1 << bits], key)
        name = f"raw palette {bits} bits {interlaced} {transparent}.png"
        write = lambda path, data=data: path.write_bytes(data)
        yield palette_cell(name, write, indices, colors, alphas if transparent else None)
    for bits in (1, 4, 8):
        indices = numbers((1 << bits) - 1, 1)
        for kind in ("colors", "gray", "inverted"):
            ramp = np.repeat(np.linspace(0, 255, 1 << bits).astype(np.uint8)[:, None], 3, 1)
            palette = {"colors": colors[: 1 << bits], "gray": ramp, "inverted": ramp[::-1]}[kind]
            data = raw_files.bmp(indices, bits, palette.tolist())
            cell = palette_cell(
                f"raw {bits} bits {kind}.bmp", lambda path, data=data: path.write_bytes(data), indices, palette
            )
            yield cell
    for kind, white in itertools.product((2, 3, 5, 6), (1, 3, 15, 100, 255, 256, 1000, 4095, 65535)):
        values = numbers(white, 3 if kind in (3, 6) else 1)
        data = raw_files.netpbm(values, kind, white)
        write = lambda path, data=data: path.write_bytes(data)
        yield plain(f"raw P{kind} {white}.{'ppm' if kind in (3, 6) else 'pgm'}", write, values, white)
    for kind in (1, 4):
        values = numbers(1, 1)
        data = raw_files.netpbm(1 - values, kind, 1)
        yield plain(f"raw P{kind}.pbm", lambda path, data=data: path.write_bytes(data), values, 1)
    for orientation in range(1, 9):
        values = numbers(255, 3)
        stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](values)))
        for suffix, save_options, lossy in (
            ("png", {}, None),
            ("webp", {"lossless": True}, 0.0),
            ("avif", {"quality": 100, "subsampling": "4:4:4"}, 0.03),
            ("jpg", {"quality": 100, "subsampling": 0}, 0.03),
        ):
            # saving an AVIF takes the number out
            exif = Image.Exif()
            exif[0x0112] = orientation
            write = lambda path, i=stored, e=exif, s=save_options: i.save(path, exif=e, **s)
            yield plain(f"turned {orientation}.{suffix}", write, values, 255, lossy=lossy)
    for dtype, channels, order in itertools.product(("?", "u1", "u2"), (1, 3, 4), "<>"):
        white = {"?": 1, "u1": 255, "u2": 65535}[dtype]
        values = numbers(white, channels)
        kind = order + dtype if dtype == "u2" else dtype
        write = lambda path, v=values, k=kind: np.save(path, squeezed(v).astype(k))
        mask = squeezed(values) if channels < 4 else None
        yield Cell(f"array {kind} {channels} {order}.npy", write, values / white, mask)
    for dtype in ("i1", "i2", "<i4", ">i4", "i8", "u4", "u8"):
        values = numbers(100, 1)
        write = lambda path, v=values, k=dtype: np.save(path, v[..., 0].astype(k))
        yield Cell(f"array {dtype}.npy", write, None, values[..., 0])
    for dtype in ("f2", "<f4", ">f8"):
        values = numbers(1, 1)
        write = lambda path, v=values, k=dtype: np.save(path, v[..., 0].astype(k))
        yield Cell(f"array {dtype}.npy", write, values, values[..., 0])
    for dtype in ("c8", "S3", "U3", "M8[s]", "m8[s]", "O", "u1,f4"):
        write = lambda path, k=dtype: np.save(path, np.zeros((3, 4), k), allow_pickle=True)
        yield Cell(f"array {dtype}.npy", write, None, None)
    data = io.BytesIO()
    Image.fromarray(numbers(255, 3)).save(data, "TIFF")
    # Pillow knows its rarer formats from the first file on that needs one
    Image.init()
    for suffix in ("eps", "pcx", "tga", "ico", "sgi", "psd"):
        # known to Pillow, which would run a program for some of them
        with contextlib.suppress(ValueError, KeyError):
            form = {"eps": "EPS", "pcx": "PCX", "tga": "TGA", "ico": "ICO", "sgi": "SGI"}.get(suffix, "PSD")
            write = lambda path, form=form: Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path, form)
            if form in Image.SAVE:
                yield Cell(f"{form} by another name.png", write, None, None)


def check(cell, path):
    """Check what is read from a file; return whether it is refused as an image and as a mask."""
    refused = []
    if cell.image is None:
        with pytest.raises(DataError, match=path.name):
            read_image(path, 3)
        refused.append("image")
    else:
        expected_images = {cell.image.shape[2]: cell.image}
        if cell.alpha is not None:
            expected_images[cell.image.shape[2] + 1] = np.concatenate([cell.image, cell.alpha], 2)
        if cell.image.shape[2] == 1:
            expected_images[3] = np.repeat(cell.image, 3, 2)
        for channels, expected in expected_images.items():
            image = read_image(path, channels)
            assert image.shape == expected.shape, (channels, image.shape)
            assert image_size(path, channels) == expected.shape[:2]
            assert image.dtype in (np.uint8, np.float32)
            unit = image / 255 if image.dtype == np.uint8 else image
            # 8 bits hold what has fewer to half a step
            step = 0.5 / 255 if image.dtype == np.uint8 else 0
            assert np.abs(unit - expected).max() <= cell.tolerance + step, (channels, unit[0, :3], expected[0, :3])
    if cell.mask is None:
        with pytest.raises(DataError, match=path.name):
            read_mask(path)
        refused.append("mask")
    else:
        mask = read_mask(path)
        assert mask.dtype.kind in "ui"
        assert np.array_equal(mask, cell.mask), (mask[0], cell.mask[0])
    return refused


COUNTS = {"Pillow": (129, 24), "OpenCV": (47, 14), "tifffile": (221, 62), "imagecodecs": (74, 71), "raw": (171, 61)}
"""Cells of each library, and how often a file is refused, as an image or as a mask."""

CELLS = {
    "Pillow": pillow_cells,
    "OpenCV": opencv_cells,
    "tifffile": tifffile_cells,
    "imagecodecs": imagecodecs_cells,
    "raw": raw_cells,
}


@pytest.mark.parametrize("library", CELLS)
def test_formats__what_comes_out_is_what_was_put_in_or_the_file_is_refused_by_name(tmp_path, library):
    wrong, refused, unwritten, number = {}, Counter(), [], 0
    for number, cell in enumerate(CELLS[library](), 1):
        path = tmp_path / f"{number}.{cell.name.rsplit('.', 1)[1]}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert cell.write(path) is not False, "OpenCV wrote nothing"
            except Exception as error:
                unwritten.append(f"{cell.name}: {error}")
                continue
        try:
            refused.update(check(cell, path))
        except (Exception, pytest.fail.Exception) as error:
            wrong[cell.name] = f"{type(error).__name__}: {str(error)[:300]}"
    print(f"{library}: {number - len(unwritten)} cells, refused {dict(refused)}, not written: {unwritten}")
    assert (number - len(unwritten), refused.total()) == COUNTS[library]
    assert not wrong, "\n".join(f"{name}: {error}" for name, error in wrong.items())


# ---- arrays ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros((3, 4), complex), "holds complex numbers; save it as whole or floating-point numbers"),
        (np.zeros((3, 4), "M8[D]"), "holds dates;"),
        (np.zeros((3, 4), [("é", "u1")]), "holds records of several fields;"),
        (np.zeros((3, 4), [("a", "u1"), ("b", "u1")]), "holds records of several fields;"),
        (np.zeros((3, 4), object), "holds objects;"),
        (np.zeros(3, np.uint8), r"has the shape \(3,\); an image is"),
    ],
    ids=["complex", "dates", "version 3", "records", "objects", "one axis"],
)
def test_read__an_array_of_no_numbers_is_named(values, reason, tmp_path):
    with warnings.catch_warnings():
        # version 3 of the format
        warnings.simplefilter("ignore")
        np.save(tmp_path / "a.npy", values, allow_pickle=True)
    for read in (read_image, read_mask, image_size):
        with pytest.raises(DataError, match=rf"a\.npy: {reason}"):
            read(tmp_path / "a.npy")


def test_read__an_array_whose_header_says_more_than_there_is(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6)})
    (tmp_path / "a.npy").write_bytes(header.getvalue() + bytes(100))
    with pytest.raises(DataError, match=r"its header says 1000000×1000000 values, more than its 100 bytes can hold"):
        read_mask(tmp_path / "a.npy")
