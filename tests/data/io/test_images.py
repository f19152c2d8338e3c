import time

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from lightseg.data.io.image_values import ImageValues
from lightseg.data.io.images import image_size, read_image, transparent_share
from lightseg.errors import DataError
from tests.data.datasets.mask_folder_case import sample
from tests.data.fabricate import picture, save, save_palette


@pytest.fixture
def rgb():
    return picture(3, 6, 9)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff"])
def test_read_image__lossless_rgb_is_unchanged(tmp_path, rgb, suffix):
    image = read_image(save(tmp_path / f"a.{suffix}", rgb))
    assert image.dtype == np.uint8
    assert np.array_equal(image, rgb)


def test_read_image__jpeg_equals_opencv(tmp_path, rgb):
    path = save(tmp_path / "a.jpg", np.kron(rgb, np.ones((8, 8, 1), np.uint8)), quality=95)
    by_opencv = cv2.imread(str(path))[..., ::-1].astype(int)
    assert np.abs(read_image(path).astype(int) - by_opencv).max() <= 3


def test_read_image__grey_is_repeated_and_color_becomes_grey(tmp_path, rgb):
    gray = save(tmp_path / "gray.png", rgb[..., 0])
    assert np.array_equal(read_image(gray), np.repeat(rgb[..., :1], 3, axis=2))
    assert np.array_equal(read_image(gray, 1), rgb[..., :1])
    assert read_image(save(tmp_path / "rgb.png", rgb), 1).shape == (6, 9, 1)


def test_read_image__alpha_is_dropped(tmp_path, rgb):
    alpha = np.full((6, 9, 1), 7, np.uint8)
    assert np.array_equal(read_image(save(tmp_path / "rgba.png", np.concatenate([rgb, alpha], 2))), rgb)
    assert np.array_equal(read_image(save(tmp_path / "rgba.tif", np.concatenate([rgb, alpha], 2))), rgb)
    gray_alpha = Image.merge("LA", [Image.fromarray(rgb[..., 0]), Image.fromarray(alpha[..., 0])])
    gray_alpha.save(tmp_path / "la.png")
    assert np.array_equal(read_image(tmp_path / "la.png", 1), rgb[..., :1])


def test_read_image__four_channels_keep_rgba(tmp_path, rgb):
    rgba = np.dstack([rgb, rgb[..., 0]])
    for suffix in ("png", "tif"):
        assert np.array_equal(read_image(save(tmp_path / f"a.{suffix}", rgba), 4), rgba)


def test_read_image__palette_becomes_color(tmp_path):
    image = read_image(save_palette(tmp_path / "a.png", [[0, 1], [2, 3]]))
    assert image.tolist() == [[[0, 0, 0], [128, 0, 0]], [[0, 128, 0], [128, 128, 0]]]


def test_read_image__one_bit_is_black_and_white(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 1).ravel().tolist() == [255, 0]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_read_image__16_bit_is_scaled_to_one(tmp_path, suffix):
    gray = np.array([[0, 65535], [13107, 1]], np.uint16)
    image = read_image(save(tmp_path / f"gray.{suffix}", gray), 1)
    assert image.dtype == np.float32
    assert np.allclose(image[..., 0], gray / 65535)
    color = np.stack([gray, gray // 2, gray // 3], 2)
    assert np.allclose(read_image(save(tmp_path / f"color.{suffix}", color)), color / 65535)


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_read_image__many_channels_first_or_last(tmp_path, channels):
    data = np.random.default_rng(0).random((7, 8, channels), np.float32)
    tifffile.imwrite(tmp_path / "last.tif", data, photometric="minisblack", planarconfig="contig")
    tifffile.imwrite(tmp_path / "first.tif", data.transpose(2, 0, 1), photometric="minisblack")
    np.save(tmp_path / "a.npy", data)
    for name in ("last.tif", "first.tif", "a.npy"):
        assert np.array_equal(read_image(tmp_path / name, channels), data), name
        assert image_size(tmp_path / name, channels) == (7, 8), name


def test_read_image__compressed_tiff(tmp_path, rgb):
    tifffile.imwrite(tmp_path / "a.tif", rgb, compression="lzw", photometric="rgb")
    assert np.array_equal(read_image(tmp_path / "a.tif"), rgb)


def test_read_image__wrong_number_of_channels_names_file_and_option(tmp_path, rgb):
    tifffile.imwrite(tmp_path / "five.tif", np.zeros((5, 8, 9), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match=r"five\.tif: has 5 channels, but data\.channels is 3; set data\.channels: 5"):
        read_image(tmp_path / "five.tif")
    with pytest.raises(DataError, match=r"a\.png: has 3 channels, but data\.channels is 4"):
        read_image(save(tmp_path / "a.png", rgb), 4)


def test_read_image__fourth_band_that_is_no_alpha_is_not_dropped(tmp_path):
    tifffile.imwrite(tmp_path / "nir.tif", np.zeros((4, 8, 9), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match="has 4 channels"):
        read_image(tmp_path / "nir.tif")


def test_read_image__unusable_values(tmp_path):
    np.save(tmp_path / "nan.npy", np.full((4, 4), np.nan, np.float32))
    with pytest.raises(DataError, match=r"nan\.npy: holds NaN"):
        read_image(tmp_path / "nan.npy", 1)
    np.save(tmp_path / "int.npy", np.zeros((4, 4), np.int16))
    with pytest.raises(DataError, match=r"int\.npy: holds int16 values"):
        read_image(tmp_path / "int.npy", 1)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp"])
def test_read_image__truncated_file_is_named(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", picture(0, 64, 64))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match=rf"a\.{suffix}: this image cannot be read, the file is broken or truncated"):
        read_image(path)


def test_read_image__missing_empty_and_foreign_files(tmp_path):
    with pytest.raises(DataError, match=r"a\.png: this image does not exist"):
        read_image(tmp_path / "a.png")
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"a\.png: this image is an empty file"):
        read_image(tmp_path / "a.png")
    (tmp_path / "a.png").write_text("<html>404</html>")
    with pytest.raises(DataError, match=r"a\.png: this image cannot be read"):
        image_size(tmp_path / "a.png")


def test_read_image__exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:, :16] = 255
    path = save(tmp_path / "a.jpg", upright, exif=exif)
    image = read_image(path)
    assert image.shape == (32, 16, 3)
    assert image[4, 8, 0] > 200
    assert image[28, 8, 0] < 50
    assert image_size(path) == (32, 16)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "palette"])
@pytest.mark.parametrize("at_once", [True, False])
def test_read_image__pages_of_a_tiff_are_neither_mixed_nor_left_out(tmp_path, photometric, at_once):
    pages = np.arange(3 * 6 * 9, dtype=np.uint8).reshape(3, 6, 9)
    options = {"colormap": np.zeros((3, 256), np.uint16)} if photometric == "palette" else {}
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in [pages] if at_once else pages:
            # without a word about the shape of all, as other programs write pages
            file.write(page, photometric=photometric, metadata=None, **options)
    with pytest.raises(
        DataError, match=r"a\.tif: (has 3 channels, .* or save each page as|holds 3 pages with a palette)"
    ):
        read_image(tmp_path / "a.tif", 1)


def test_read_image__bands_are_not_taken_for_colors(tmp_path, rgb):
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="minisblack", planarconfig="contig")
    assert np.array_equal(read_image(tmp_path / "a.tif", 3), rgb)
    with pytest.raises(DataError, match="has 3 channels, but data.channels is 1; set data.channels: 3"):
        read_image(tmp_path / "a.tif", 1)


def test_image_size__equals_the_image(tmp_path, rgb):
    for suffix in ("png", "jpg", "tif", "bmp"):
        assert image_size(save(tmp_path / f"a.{suffix}", rgb)) == (6, 9)


def test_read_image__is_writable(tmp_path, rgb):
    for suffix in ("png", "jpg", "tif"):
        assert read_image(save(tmp_path / f"a.{suffix}", rgb)).flags.writeable


@pytest.mark.slow
def test_read_image__is_about_as_fast_as_opencv(tmp_path):
    path = save(tmp_path / "a.jpg", cv2.resize(picture(0, 36, 48), (480, 360)), quality=95)

    def seconds(read_file):
        start = time.thread_time()
        read_file(path)
        return time.thread_time() - start

    # in turn, so that what else slows the processor slows both
    pairs = [(seconds(read_image), seconds(lambda p: cv2.imread(str(p)))) for _ in range(50)]
    ours, theirs = map(min, zip(*pairs, strict=True))
    assert ours < 2 * theirs


def test_value_range__does_not_darken_what_has_fewer_bits(tmp_path):
    Image.fromarray(sample(0)[0]).save(tmp_path / "x.png")
    with pytest.raises(DataError, match="holds at most 255, and data.value_range ends at 4095"):
        read_image(tmp_path / "x.png", values=ImageValues(((0, 4095),)))


@pytest.mark.parametrize("form", ["rgba.png", "la.png", "palette.png", "rgba.tif"])
def test_transparent_share__of_an_alpha_that_is_dropped(tmp_path, form):
    path, alpha = tmp_path / form, np.full((4, 4), 255, np.uint8)
    alpha[0, :3] = 7
    colors = np.full((4, 4, 3), 99, np.uint8)
    if form == "palette.png":
        image = Image.fromarray((alpha < 255).astype(np.uint8), "P")
        image.putpalette([9, 9, 9, 200, 0, 0])
        image.save(path, transparency=1)
    elif form == "rgba.tif":
        stored = np.dstack([colors, alpha])
        tifffile.imwrite(path, stored, photometric="rgb", extrasamples=["unassalpha"])
    else:
        Image.fromarray(np.dstack([colors if form == "rgba.png" else colors[..., :1], alpha])).save(path)
    assert transparent_share(path) == 3 / 16
    assert transparent_share(path, values=ImageValues.of(None, None, [1, 2, 3])) is None
    assert transparent_share(path, channels=2 if form == "la.png" else 4) is None
    read = read_image(path)
    assert read.shape == (4, 4, 3)
    assert transparent_share(save(tmp_path / "rgb.png", read)) is None
