import csv
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

import lightseg
from lightseg.data.palette import default_palette
from lightseg.inference import readers
from lightseg.predict import main
from tests.data.fabricate import geotiff, raw_tags
from tests.helpers.forked_process import ForkedProcess
from tests.helpers.processes import wait_until
from tests.helpers.small_disk import run_on_small_disk
from tests.inference.models import write_checkpoint

RANDOM = np.random.default_rng(0)


@pytest.fixture
def checkpoint(tmp_path):
    return write_checkpoint(tmp_path / "model.ckpt")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def predict(capsys, checkpoint, out):
    """The verb as a user calls it; gives exit code, standard output and errors."""

    def run(*args, model=checkpoint):
        code = main([str(model), *map(str, args), "--out", str(out)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    (folder / "night").mkdir(parents=True)
    for name, size in (("a.png", (37, 61)), ("b.jpg", (20, 30)), ("night/a.png", (48, 40))):
        Image.fromarray(_image(*size)).save(folder / name)
    return folder


def _image(height, width):
    return RANDOM.integers(0, 256, (height, width, 3), np.uint8)


def _mask(path):
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image)


def _files(folder):
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return [name for name in paths if name not in (".lock", "classes.json", "predictions.jsonl")]


def test_predict__masks_of_a_folder_at_the_size_of_the_images(predict, images, out, checkpoint, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    code, printed, _ = predict(images)
    assert code == 0
    assert printed == f"predicted 3 of 3 images: {out}\n"
    assert _files(out) == ["a.png", "b.png", "night/a.png"]
    task = lightseg.load(checkpoint)
    for name in ("a.png", "b.jpg", "night/a.png"):
        assert np.array_equal(_mask((out / name).with_suffix(".png")), task.predict(images / name))
    with Image.open(out / "a.png") as mask:
        assert mask.getpalette()[:9] == [value for color in default_palette(3) for value in color]


def test_predict__legend_and_what_was_used(predict, images, out, checkpoint):
    import hashlib

    assert predict(images, "--window", 32, "--tta", "flip")[0] == 0
    facts = json.loads((out / "classes.json").read_text())
    assert facts["classes"][1] == {"id": 1, "name": "class 1", "color": [128, 0, 0]}
    assert facts["sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert (
        facts["protocol"] == facts["protocol_large"] == "windows of 32 pixels that overlap by 0.25, mirrored, averaged"
    )
    assert facts["temperature"] == 1
    task = lightseg.load(checkpoint)
    assert np.array_equal(_mask(out / "a.png"), task.predict(images / "a.png", window=32, tta="flip"))


def test_predict__overlays_and_probabilities(predict, images, out, checkpoint):
    assert predict(images / "a.png", "--overlays", "--probabilities", "--window", 32)[0] == 0
    assert _files(out) == ["a.png", "overlays/a.jpg", "probabilities/a.npy"]
    probabilities = np.load(out / "probabilities/a.npy")
    expected = lightseg.load(checkpoint).predict(images / "a.png", window=32, details=True)
    assert probabilities.dtype == np.float16
    assert np.allclose(probabilities, expected.probabilities, atol=1e-3)
    with Image.open(out / "overlays/a.jpg") as overlay, Image.open(images / "a.png") as image:
        colors = np.array(default_palette(3))[expected.classes]
        assert overlay.size == (61, 37)
        # JPEG gives colours a resolution of their own
        assert abs(np.mean(overlay) - np.mean((np.asarray(image) + colors) / 2)) < 2


def test_predict__pages_of_a_tiff_are_images_and_bands_are_not(predict, tmp_path, out):
    pages = np.stack([_image(30, 40) for _ in range(4)])
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="rgb")
    tifffile.imwrite(tmp_path / "grey.tif", pages[..., 0], photometric="minisblack")
    tifffile.imwrite(tmp_path / "one.tif", pages[0], photometric="rgb")
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as file:
        file.write(pages[1], photometric="rgb", subifds=0)
        file.write(pages[1][::2, ::2], photometric="rgb", subfiletype=1)
    assert predict(*(tmp_path / f"{name}.tif" for name in ("pages", "grey", "one", "pyramid")))[0] == 0
    numbered = [f"{name}_p000{number}.png" for name in ("grey", "pages") for number in range(1, 5)]
    assert _files(out) == sorted([*numbered, "one.png", "pyramid.png"])
    task = lightseg.load(tmp_path / "model.ckpt")
    assert np.array_equal(_mask(out / "pages_p0003.png"), task.predict(pages[2]))
    assert np.array_equal(_mask(out / "grey_p0002.png"), task.predict(pages[1, ..., 0]))
    assert np.array_equal(_mask(out / "pyramid.png"), task.predict(pages[1]))


def test_predict__bands_in_pages_are_one_image_as_in_training(predict, tmp_path, out):
    model = write_checkpoint(tmp_path / "bands.ckpt", channels=5)
    bands = RANDOM.integers(0, 256, (5, 30, 40), np.uint8)
    tifffile.imwrite(tmp_path / "bands.tif", bands, photometric="minisblack")
    assert predict(tmp_path / "bands.tif", model=model)[0] == 0
    assert np.array_equal(_mask(out / "bands.png"), lightseg.load(model).predict(np.moveaxis(bands, 0, -1)))


def test_predict__of_a_geotiff_is_a_geotiff_and_void_without_data(predict, tmp_path, out):
    record = {"ranges": [[0, 4095]], "nodata": 0.0, "bands": [4, 3, 2], "fill": [0.2, 0.3, 0.4]}
    model = write_checkpoint(tmp_path / "bands.ckpt", image_values=record)
    bands = RANDOM.integers(1, 4096, (70, 90, 12)).astype(np.uint16)
    bands[:20, 10:50, 1:4] = 0
    geotiff(tmp_path / "map.tif", bands)
    tifffile.imwrite(tmp_path / "plain.tif", np.moveaxis(bands, -1, 0), photometric="minisblack")
    assert predict(tmp_path / "map.tif", tmp_path / "plain.tif", "--window", 32, model=model)[0] == 0
    assert _files(out) == ["map.tif", "plain.png"]
    assert raw_tags(out / "map.tif") == raw_tags(tmp_path / "map.tif")
    mask = _mask(out / "plain.png")
    assert np.array_equal(mask == 255, (bands[..., 1:4] == 0).all(2))
    assert np.array_equal(tifffile.imread(out / "map.tif"), mask)
    assert np.array_equal(lightseg.load(model).predict(tmp_path / "map.tif", window=32), mask)
    # as an array, the bands are selected
    assert np.array_equal(lightseg.load(model).predict(bands[..., [3, 2, 1]], window=32), mask)
    with tifffile.TiffFile(out / "map.tif") as file:
        assert file.pages[0].tags[42113].value == "255"
    assert predict(tmp_path / "map.tif", tmp_path / "plain.tif", "--window", 32, model=model)[1].endswith(
        f"predicted 0 of 2 images, 2 were there: {out}\n"
    )


def test_predict__by_a_checkpoint_of_version_0_1_missing_values_are_0(predict, tmp_path, out):
    old = write_checkpoint(tmp_path / "old.ckpt", image_values=[0.0, 4095.0, 0.0])
    new = write_checkpoint(tmp_path / "new.ckpt", image_values={"ranges": [[0.0, 4095.0]]})
    image = RANDOM.integers(0, 20, (40, 50, 3)).astype(np.uint16)
    geotiff(tmp_path / "map.tif", image)
    assert predict(tmp_path / "map.tif", model=old)[0] == 0
    mask = tifffile.imread(out / "map.tif")
    # 0 is 0 in this range, too
    assert np.array_equal(mask, lightseg.load(new).predict(tmp_path / "map.tif"))
    assert mask.max() < 3


def test_predict__pattern(predict, images, out):
    assert predict(f"{images}/**/*.png")[0] == 0
    assert _files(out) == ["a.png", "night/a.png"]


def test_predict__broken_file_is_named_and_skipped(predict, images, out):
    data = (images / "b.jpg").read_bytes()
    (images / "b.jpg").write_bytes(data[: len(data) // 2])
    code, printed, err = predict(images)
    assert code == 1
    assert f"{images / 'b.jpg'}: this image cannot be read" in err
    assert "1 of 3 images could not be predicted" in err
    assert _files(out) == ["a.png", "night/a.png"]
    (images / "b.jpg").write_bytes(data)
    code, printed, _ = predict(images)
    assert code == 0
    assert printed.startswith("predicted 1 of 3 images, 2 were there")


def test_predict__goes_on_where_it_stopped(predict, images, out):
    assert predict(images)[0] == 0
    before = {name: (out / name).stat().st_mtime_ns for name in _files(out)}
    with (out / "predictions.jsonl").open("a") as file:
        file.write('{"name": "half')
    (out / ".a.png.123").touch()
    (out / "b.png").unlink()
    Image.fromarray(_image(48, 40)).save(images / "night/a.png")
    code, printed, _ = predict(images)
    assert code == 0
    assert printed.startswith("predicted 2 of 3 images, 1 were there")
    assert _files(out) == list(before)
    changed = [name for name, time in before.items() if (out / name).stat().st_mtime_ns != time]
    assert changed == ["b.png", "night/a.png"]
    assert predict(images)[1].startswith("predicted 0 of 3 images, 3 were there")


def test_predict__image_that_is_replaced_by_one_of_the_same_size_and_time(predict, images, out):
    # pixels without compression have one size
    path = images / "c.bmp"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    assert predict(images)[0] == 0
    before = path.stat()
    Image.fromarray(np.full((8, 8, 3), 255, np.uint8)).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert predict(images)[1].startswith("predicted 1 of 4 images, 3 were there")


def test_predict__what_is_there_was_made_otherwise(predict, images, out, tmp_path):
    assert predict(images)[0] == 0
    before = {name: (out / name).read_bytes() for name in _files(out)}
    code, _, err = predict(images, "--window", 32)
    assert code == 2
    assert "another protocol (whole images; now windows of 32 pixels that overlap by 0.25); give another" in err
    code, _, err = predict(images, "--overlap", 0.5)
    assert code == 2
    assert "another protocol for large images (windows of 512 pixels that overlap by 0.25; now windows" in err
    other = write_checkpoint(tmp_path / "other.ckpt", width=2)
    code, _, err = predict(images, model=other)
    assert code == 2
    assert "another checkpoint" in err
    assert {name: (out / name).read_bytes() for name in _files(out)} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png"], "nowhere.png: there is no such file or folder"),
        (["*.nothing"], "no image fits this pattern"),
        (["empty"], "there is no image in this folder"),
        (["images", "--tta", "flop"], "tta: no augmentation 'flop'; did you mean flip"),
        (["images", "--window", "0"], "window: must be 1 or more pixels, got 0"),
        (["images", "--window", "x"], "--window"),
        (["images", "--batch", "0"], "--batch 0"),
        (["images", "--device", "toaster"], "--device toaster"),
        (["twins"], "would both be named a;"),
    ],
)
def test_predict__bad_input(predict, images, out, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "twins").mkdir()
    for suffix in ("png", "jpg"):
        Image.fromarray(_image(8, 8)).save(tmp_path / f"twins/a.{suffix}")
    code, _, err = predict(*arguments)
    assert code == 2
    assert err.startswith("lightseg: error: ")
    assert len(err.splitlines()) == 1
    assert message in err
    assert not out.exists()


def test_predict__where_it_must_not_write(predict, images, out):
    out.write_text("mine")
    assert "is a file; give a folder" in predict(images)[2]
    out.unlink()
    out.mkdir()
    (out / "a.png").write_text("mine")
    code, _, err = predict(images)
    assert code == 2
    assert "holds other files" in err
    assert (out / "a.png").read_text() == "mine"


def test_predict__input_is_where_results_go(predict, out):
    out.mkdir()
    Image.fromarray(_image(8, 8)).save(out / "a.png")
    code, _, err = predict(out / "a.png")
    assert code == 2
    assert f"{out / 'a.png'}: is in --out {out}, where results go" in err


def test_predict__another_image_of_the_same_name_is_not_replaced(predict, images, out):
    assert predict(images / "a.png")[0] == 0
    before = (out / "a.png").read_bytes()
    code, _, err = predict(images / "night/a.png")
    assert code == 2
    assert f"holds a of {images / 'a.png'}, which {images / 'night/a.png'} would replace" in err
    assert (out / "a.png").read_bytes() == before
    # the same one, elsewhere by now
    (images / "a.png").rename(images / "night/a.png")
    assert predict(images / "night/a.png")[1].startswith("predicted 1 of 1")


def test_predict__full_disk_is_one_message_and_the_next_call_goes_on(predict, images, out, monkeypatch):
    reserve, full = os.posix_fallocate, []

    def allocate(file, offset, size):
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        full.append(size)
        reserve(file, offset, size)

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", allocate)
        code, _, err = predict(images, "--probabilities")
    assert code == 1
    assert (
        err
        == f"lightseg: error: {out}/probabilities/b.npy: No space left on device; the same command goes on from here\n"
    )
    assert _files(out) == ["a.png", "probabilities/a.npy"]
    assert predict(images, "--probabilities")[1].startswith("predicted 2 of 3 images, 1 were there")


@pytest.mark.slow
def test_predict__probabilities_that_the_disk_has_no_room_for(tmp_path, checkpoint):
    Image.fromarray(_image(300, 300)).save(tmp_path / "a.png")
    predict = f"{sys.executable} -m lightseg.predict {checkpoint} a.png --out disk/out --probabilities"
    done = run_on_small_disk(tmp_path, "200k", f'{predict}; echo "exit code $?"; find disk -name "*a.*"')
    assert done.stdout == "exit code 1\n"
    file = tmp_path / "disk/out/probabilities/a.npy"
    assert done.stderr == f"lightseg: error: {file}: No space left on device; the same command goes on from here\n"


def test_predict__results_are_no_input(predict, images, tmp_path, checkpoint, capsys):
    for _ in range(2):
        assert main([str(checkpoint), str(images), "--out", str(images / "said")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("predicted 0 of 3 images, 3 were there")


def test_predict__no_run(predict, images, tmp_path):
    code, _, err = predict(images, model=tmp_path / "images")
    assert code == 2
    assert "no run folder" in err
    run = tmp_path / "runs/unet/20260102T030405-a1b2"
    run.mkdir(parents=True)
    (run / "config.yaml").touch()
    assert f"did you mean {run}?" in predict(images, model=tmp_path / "runs/unet")[2]
    assert f"no checkpoint found (looked for {run / 'checkpoints/best.ckpt'}" in predict(images, model=run)[2]


def test_predict__labels(predict, images, out, tmp_path):
    model = write_checkpoint(tmp_path / "classifier.ckpt", "ClassificationTask", "lightseg.nets.SimpleCNN")
    (images / "night/broken.png").write_bytes(b"")
    for name in ("a.png", "b.jpg", "night/a.png"):
        Image.fromarray(_image(32, 32)).save(images / name)
    assert predict(images, "--probabilities", model=model)[0] == 1
    assert _files(out) == ["labels.csv"]
    with (out / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    task = lightseg.load(model)
    assert [row["file"] for row in rows] == [str(images / name) for name in ("a.png", "b.jpg", "night/a.png")]
    for row in rows:
        prediction = task.predict(row["file"], details=True)
        assert row["class"] == f"class {prediction.classes}"
        assert float(row["probability"]) == pytest.approx(prediction.probabilities.max(), abs=1e-6)
        probabilities = [float(row[name]) for name in task.classes]
        assert probabilities == pytest.approx(prediction.probabilities.tolist(), abs=1e-6)
    assert "--window and --overlays are for segmentation" in predict(images, "--overlays", model=model)[2]


def test_predict__labels_of_several_calls_but_not_of_what_cannot_be_predicted(predict, images, out, tmp_path):
    model = write_checkpoint(tmp_path / "classifier.ckpt", "ClassificationTask", "lightseg.nets.SimpleCNN")
    for name in ("a.png", "b.jpg"):
        Image.fromarray(_image(32, 32)).save(images / name)
    code, _, err = predict(images / "night/a.png", model=model)
    assert code == 1
    assert f"{images / 'night/a.png'}: SimpleCNN was built for 32×32 images and got 48×40" in err

    def labelled():
        with (out / "labels.csv").open() as file:
            return [row["file"] for row in csv.DictReader(file)]

    assert predict(images / "b.jpg", model=model)[0] == 0
    assert predict(images / "a.png", model=model)[0] == 0
    assert labelled() == [str(images / "a.png"), str(images / "b.jpg")]
    (images / "b.jpg").write_bytes(b"")
    assert predict(images / "b.jpg", model=model)[0] == 1
    assert labelled() == [str(images / "a.png")]


@pytest.mark.parametrize("name", ["map.png", "map.tif", "map.jpg"])
def test_predict__large_image_is_seen_in_windows_which_is_said(predict, tmp_path, out, checkpoint, monkeypatch, name):
    monkeypatch.setattr(readers, "LARGE", 700 * 600)
    monkeypatch.setattr("lightseg.inference.predictor.LARGE", 700 * 600)
    Image.fromarray(_image(701, 600)).save(tmp_path / name)
    code, printed, _ = predict(tmp_path / name)
    assert code == 0
    assert "701 × 600 pixels are too many at once: windows of 512 pixels that overlap by 0.25" in printed
    expected = lightseg.load(checkpoint).predict(tmp_path / name, window=512)
    assert np.array_equal(_mask(out / "map.png"), expected)
    assert json.loads((out / "predictions.jsonl").read_text())["window"] == 512


STUCK = """
import os, time
from torch import nn


class Stuck(nn.Conv2d):
    def __init__(self, num_classes: int, in_channels: int = 3):
        super().__init__(in_channels, num_classes, 1)

    def forward(self, images):
        # the last image is never done, so that an interrupt does not come too late
        if "STUCK" in os.environ and (images == images[:, :, :1, :1]).all():
            time.sleep(3000)
        return super().forward(images)
"""


@pytest.mark.slow
def test_predict__interrupted_leaves_nothing_half_written_and_goes_on(images, out, own_module, tmp_path):
    own_module("stuck", STUCK)
    checkpoint = write_checkpoint(tmp_path / "stuck.ckpt", net="stuck.Stuck")
    for number in range(6):
        Image.fromarray(_image(300, 300)).save(images / f"more{number}.png")
    Image.new("RGB", (32, 32)).save(images / "zero.png")
    words = [*map(str, [checkpoint, images, "--out", out, "--tta", "flip,scale", "--trust"])]
    environment = {**os.environ, "STUCK": "1"}
    process = ForkedProcess("lightseg.predict", words, tmp_path, environment, tmp_path / "output")
    done = out / "predictions.jsonl"
    wait_until(lambda: done.is_file() and done.read_text().count("\n") >= 2, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    masks = _files(out)
    assert 2 <= len(masks) < 10
    assert all(name.endswith(".png") and not name.startswith(".") for name in masks)
    for name in masks:
        _mask(out / name)
    assert main(words) == 0
    assert len(_files(out)) == 10


PIXELWISE = """
from torch import nn


class Pixelwise(nn.Conv2d):
    def __init__(self, num_classes: int, in_channels: int = 3):
        super().__init__(in_channels, num_classes, 1)
"""

MEASURE = """
import resource
import sys

import torch

import lightseg
import lightseg.inference.inputs, lightseg.inference.mask_writer, lightseg.inference.results
from lightseg.predict import main


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


torch.set_num_threads(1)
lightseg.load(sys.argv[1], trust=True)
before = peak()
code = main(sys.argv[1:])
print(code, peak() - before)
"""


def _write_large_tiff(path, side, strip):
    tiles = (strip[:, :512] for _ in range((-(-side // 512)) ** 2))
    tifffile.imwrite(path, tiles, shape=(side, side, 3), dtype=np.uint8, tile=(512, 512), photometric="rgb")


def _write_large_geotiff(path, side, strip):
    bands = np.concatenate([strip] * 4, axis=2).astype(np.uint16) * 16
    tiles = (bands[:, :512] for _ in range((-(-side // 512)) ** 2))
    shape = (side, side, bands.shape[2])
    geotiff(path, tiles, shape=shape, dtype=np.uint16, tile=(512, 512), bigtiff=True, compression="zlib")


def _write_large_png(path, side, strip):
    """Rows of noise, which does not compress: the file is as large as the image."""
    deflate = zlib.compressobj(0)
    rows = np.pad(
        np.tile(strip, (1, -(-side // strip.shape[1]), 1))[:, :side].reshape(len(strip), -1), ((0, 0), (1, 0))
    )
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")

        def write(kind, data):
            file.write(len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big"))

        write(b"IHDR", side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0]))
        for top in range(0, side, len(rows)):
            write(b"IDAT", deflate.compress(rows[: side - top].tobytes()))
        write(b"IDAT", deflate.flush())
        write(b"IEND", b"")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("write", "side", "bound", "members"),
    [
        # what an ensemble does with the file, one model does as well
        pytest.param(_write_large_tiff, 20_000, 2e9, 2, id="tiff-ensemble"),
        pytest.param(_write_large_geotiff, 20_000, 2e9, 1, id="geotiff"),
        # a quarter of the pixels, and of the bound
        pytest.param(_write_large_png, 10_000, 0.5e9, 1, id="png"),
    ],
)
def test_predict__twenty_thousand_pixels_squared_within_two_gigabytes(
    tmp_path, own_module, out, write, side, bound, members
):
    strip = _image(512, 512)
    own_module("pixelwise", PIXELWISE)
    values = {}
    if write is _write_large_geotiff:
        # as files of this size are: compressible
        strip = np.kron(_image(64, 64), np.ones((8, 8, 1), np.uint8))
        # 12 bands of 16 bits, in which no pixel is missing
        values = {"channels": 12, "image_values": {"ranges": [[0, 4080]], "nodata": 65535.0, "fill": [0.5] * 12}}
    files = [tmp_path / f"{number}.ckpt" for number in range(members)]
    model = "+".join(str(write_checkpoint(file, net="pixelwise.Pixelwise", classes=4, **values)) for file in files)
    image = tmp_path / ("map.png" if write is _write_large_png else "map.tif")
    write(image, side, strip)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)}
    # windows that overlap less are fewer
    command = [sys.executable, "-c", MEASURE, model, image, "--out", out, "--overlap", "0.125", "--trust"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.stdout, result.stderr
    code, above = map(int, result.stdout.splitlines()[-1].split())
    print(f"{above / 1e9:.2f} GB above the model")
    assert code == 0, result.stderr
    assert above < bound
    if write is _write_large_geotiff:
        assert raw_tags(out / "map.tif") == raw_tags(image)
    with Image.open(out / ("map.tif" if write is _write_large_geotiff else "map.png")) as mask:
        assert mask.size == (side, side)
        prediction = np.asarray(mask.crop((0, 0, 512, 512)))
        channels = np.concatenate([strip] * 4, axis=2) / np.float32(255) if values else strip
        expected = lightseg.load(model, trust=True).predict(channels)
        # blending rounds, and some of so many pixels are at a tie
        assert (prediction != expected).mean() < 1e-4
        # the last whole one of the equal squares that it is made of
        last = side // 512 * 512
        assert (np.asarray(mask.crop((last - 512, last - 512, last, last))) != expected).mean() < 1e-4


def _claim(path, side):
    """Let the header of a PNG or TIFF say another width and height."""
    if path.suffix == ".png":
        data = path.read_bytes()
        header = b"IHDR" + side.to_bytes(4, "big") * 2 + data[24:29]
        path.write_bytes(data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:])
        return
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag in ("ImageWidth", "ImageLength"):
            file.pages[0].tags[tag].overwrite(side)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("window", [[], ["--window", 32]])
def test_predict__a_header_that_says_an_absurd_size_is_a_broken_file(predict, images, out, suffix, window):
    path = images / f"big.{suffix}"
    if suffix == "png":
        Image.fromarray(_image(8, 8)).save(path)
    else:
        tifffile.imwrite(path, _image(8, 8), photometric="rgb", compression="zlib")
    _claim(path, 2**31 - 1)
    code, _, err = predict(images, *window)
    assert code == 1
    assert f"{path}: this image cannot be read, the file is broken or truncated (its header says 2147483647×" in err
    assert _files(out) == ["a.png", "b.png", "night/a.png"]


def test_predict__what_a_net_of_a_library_refuses_is_one_image(images, out, tmp_path, capsys):
    options = {"encoder": "mixer_s32_224", "kwargs": {"img_size": 64, "mlp_ratio": [0.1, 0.1]}}
    model = write_checkpoint(tmp_path / "m.ckpt", "ClassificationTask", "lightseg.nets.TimmNet", **options)
    Image.fromarray(_image(64, 64)).save(images / "fits.png")
    code = main([str(model), str(images), "--out", str(out)])
    err = capsys.readouterr().err
    assert code == 1
    assert f"lightseg: {images / 'a.png'}: cannot be predicted: " in err
    assert "3 of 4 images could not be predicted" in err
    assert "Traceback" not in err
    (row,) = csv.DictReader((out / "labels.csv").read_text().splitlines())
    assert row["file"] == str(images / "fits.png")


@pytest.mark.parametrize("out_is", ["loop", "loop/below", "dangling"])
def test_predict__out_through_a_link_that_leads_nowhere(images, checkpoint, tmp_path, capsys, out_is):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert main([str(checkpoint), str(images), "--out", str(tmp_path / out_is)]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "is a link that leads nowhere; remove it" in err


@pytest.mark.parametrize(("name", "value"), [("RANK", "x"), ("LOCAL_RANK", ""), ("SLURM_PROCID", "1.5")])
def test_predict__rank_that_is_no_number(predict, images, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    code, _, err = predict(images)
    assert code == 2
    assert err == (f"lightseg: error: {name}: the environment sets it to {value!r}, which is no number; unset {name}\n")


def test_predict__eval_transforms_that_training_takes_and_that_need_trust_later(fit, recipe, images, out, call):
    blur = '[{"class_path": "albumentations.GaussianBlur"}]'
    folder = fit("--config", recipe(), "--trainer.max_epochs", "1", "--data.eval_transforms", blur).folder
    code, _, err = call(main, folder, images, "--out", out)
    assert (code, out.exists()) == (2, False)
    assert "best.ckpt: data.eval_transforms.0: GaussianBlur may take any time and memory" in err
    assert "--trust on the command line" in err
    assert call(main, folder, images, "--out", out, "--trust")[0] == 0


def test_predict__labels_of_images_of_one_name(predict, images, out, tmp_path):
    model = write_checkpoint(tmp_path / "classifier.ckpt", "ClassificationTask", "lightseg.nets.SimpleCNN")
    paths = [images / "a.png", images / "a.jpg", images / "night/a.png"]
    for path in paths:
        Image.fromarray(_image(32, 32)).save(path)
    assert predict(*paths[:2], model=model)[0] == 0
    assert predict(paths[2], model=model)[0] == 0
    # another path to the same file
    assert predict(images / "night/../a.png", model=model)[0] == 0
    with (out / "labels.csv").open() as file:
        files = [row["file"] for row in csv.DictReader(file)]
    assert sorted(files) == sorted(map(str, [images / "night/../a.png", *paths[1:]]))


def test_predict__image_that_is_too_long_for_the_eval_transforms(predict, images, out, tmp_path):
    transforms = [{"class_path": "albumentations.SmallestMaxSize", "init_args": {"max_size": 256}}]
    model = write_checkpoint(tmp_path / "resizing.ckpt", eval_transforms=transforms)
    Image.fromarray(np.zeros((1, 10_000, 3), np.uint8)).save(images / "long.png")
    code, _, err = predict(images / "long.png", images / "a.png", model=model)
    assert code == 1
    assert f"{images / 'long.png'}: SmallestMaxSize would turn an image of 1×10000" in err
    assert _files(out) == ["a.png"]
