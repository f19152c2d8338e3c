"""Folders of images and masks on the command line: the right samples, or one line with the fix."""

import os
import shutil
import unicodedata

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from lightseg.data.io.images import read_image
from lightseg.doctor import main as doctor
from lightseg.predict import main as predict
from tests.data.datasets.mask_folder_case import COUNT, SIZE, palette_image, sample

BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def test_mask_rgb16__ids_in_the_low_byte_are_read(case):
    case.masks(".png", lambda path, mask, _: cv2.imwrite(str(path), np.repeat(mask[..., None].astype(np.uint16), 3, 2)))
    case.reads_as_plain()
    assert case.fit().code == 0
    # colors of 16 bits that are none of 8
    case.masks(
        ".png", lambda path, mask, _: cv2.imwrite(str(path), np.dstack([mask * 3, mask, mask]).astype(np.uint16))
    )
    assert "00.png: holds colors as uint16" in case.refused()


def test_mask_in_alpha__is_refused_with_the_option_that_reads_it(case):
    def rgba(path, mask, _):
        image = np.zeros((SIZE, SIZE, 4), np.uint8)
        image[..., 3] = mask * 255
        Image.fromarray(image).save(path)

    case.masks(".png", rgba)
    message = case.refused()
    assert "only its alpha varies" in message
    assert "mask_channel: alpha" in message
    case.reads_as_plain(mask_channel="alpha", values={0: "background", 255: "object"})
    assert case.fit(mask_channel="alpha", values={0: "background", 255: "object"}).code == 0


def test_mask_in_alpha__of_gray_and_of_a_palette(case):
    def gray(path, mask, _):
        Image.merge("LA", [Image.new("L", (SIZE, SIZE), 9), Image.fromarray(mask * 255)]).save(path)

    case.masks(".png", gray)
    assert "only its alpha varies" in case.refused()
    case.reads_as_plain(mask_channel="alpha", values={0: "background", 255: "object"})
    case.masks(".png", lambda path, mask, _: Image.fromarray(mask).save(path))
    assert "has no alpha" in case.refused(mask_channel="alpha")


def test_mask_channel__one_of_several(case):
    case.masks(".png", lambda path, mask, i: Image.fromarray(np.dstack([mask, mask * 7, mask * i])).save(path))
    case.reads_as_plain(mask_channel=0)
    case.reads_as_plain(mask_channel=1, values={0: "background", 7: "object"})
    assert "has 3 channels, and data.mask_channel is 3" in case.refused(mask_channel=3)
    assert "mask_channel" in case.refused(mask_channel=-1)
    assert "not colors" in case.refused(mask_channel=0, colors={"background": [0, 0, 0], "object": [1, 1, 1]})


@pytest.mark.parametrize("photometric", [lambda i: 0, lambda i: 1, lambda i: i % 2], ids=["white", "black", "mixed"])
def test_mask_miniswhite__is_read_as_it_looks(case, photometric):
    def fax(path, mask, index):
        image = Image.fromarray(mask * 255).convert("1")
        image.save(path, compression="group4", tiffinfo={262: photometric(index)})

    case.masks(".tif", fax)
    case.reads_as_plain()


def test_mask_of_booleans__of_tifffile_is_refused(case):
    case.masks(".tif", lambda path, mask, _: tifffile.imwrite(path, mask > 0))
    assert "shows true as black, as tifffile writes booleans" in case.refused()
    case.masks(".tif", lambda path, mask, _: tifffile.imwrite(path, mask > 0, photometric="minisblack"))
    case.reads_as_plain()


def test_masks_jpeg__take_a_threshold(case):
    case.masks(".jpg", lambda path, mask, _: Image.fromarray(mask * 255).save(path, quality=95))
    assert "threshold: 128" in case.refused(values={0: "background", 255: "object"})
    for options in ({}, {"values": {0: "background", 255: "object"}}):
        case.reads_as_plain(threshold=128, **options)
    assert case.fit(threshold=128).code == 0
    # as some tools save it
    case.masks(".jpg", lambda path, mask, _: Image.fromarray(np.repeat(mask[..., None] * 255, 3, 2)).save(path))
    case.reads_as_plain(threshold=128)
    case.masks(".jpg", lambda path, mask, _: Image.fromarray(np.dstack([mask * 255, mask, mask])).save(path))
    assert "is colored" in case.refused(threshold=128)


def test_masks_smooth_edge__take_a_threshold(case):
    case.masks(".png", lambda path, mask, _: Image.fromarray(cv2.GaussianBlur(mask * 255, (5, 5), 0)).save(path))
    assert "threshold: 128" in case.refused(values={0: "background", 255: "object"})
    part = case.data(threshold=128).dataset("train")
    for index in range(len(part)):
        expected = sample(int(part.name(index)[7:9]))[1]
        # a blur rounds the corners alone
        assert (part[index][1] != expected).sum() <= 20
    assert case.fit(threshold=128).code == 0


def test_threshold__that_has_all_pixels_on_one_side_is_refused(case):
    case.masks(".png", lambda path, mask, _: Image.fromarray(mask * 255).save(path))
    assert "data.threshold: 0 leaves no value below it; give 1 or more" in case.refused(threshold=0)
    assert "holds values up to 255, and data.threshold is 300, which is of another scale" in case.refused(threshold=300)


def test_threshold__the_dark_class_may_be_the_second(case):
    case.masks(".png", lambda path, mask, _: Image.fromarray(255 - mask * 200).save(path))
    case.reads_as_plain(threshold=128, values={0: "object", 255: "background"})
    case.reads_as_plain(threshold=128, classes=["background", "object"], values={1: "object", 254: "background"})


def test_threshold__applies_to_the_gray_of_one_bit(case):
    case.masks(".png", lambda path, mask, _: Image.fromarray(mask * 255).convert("1").save(path))
    case.reads_as_plain(threshold=128)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["a", "b", "c"]}, "needs one class below it and one from it on"),
        ({"values": {0: "background", 9: "object"}}, "needs one class below it and one from it on"),
        ({"ignore": [255]}, "leaves two classes and no void"),
        ({"colors": {"background": [0, 0, 0], "object": [1, 1, 1]}}, "splits gray values, not colors"),
    ],
)
def test_threshold__contradictions(case, options, message):
    assert message in case.refused(threshold=128, **options)


def test_int16_nodata__a_range_a_nodata_and_a_negative_ignore(case, call):
    def write_image(path, image, _):
        data = image.astype(np.int16) * 30
        data[:6] = -9999
        tifffile.imwrite(path, data, photometric="rgb")

    def write_mask(path, mask, _):
        label = mask.astype(np.int16)
        label[:6] = -1
        tifffile.imwrite(path, label)

    case.images(".tif", write_image)
    case.masks(".tif", write_mask)
    assert "ignore: [255, -1]" in case.refused()
    assert "value_range: [0, 3000]" in case.refused(ignore=[-1])
    options = {"ignore": [-1], "value_range": [0, 7500], "nodata": -9999}
    image, mask = case.data(**options).dataset("train")[0]
    number = int(case.data(**options).dataset("train").name(0)[7:9])
    expected = (sample(number)[0] * 30.0 / 7500).astype(np.float32)
    # the mean of each channel over the valid pixels of train
    train = case.data(**options).dataset("train")
    numbers = [int(train.name(index)[7:9]) for index in range(len(train))]
    expected[:6] = np.mean([sample(number)[0][6:] * 30.0 / 7500 for number in numbers], axis=(0, 1, 2))
    assert np.allclose(image, expected)
    assert (mask[:6] == 255).all()
    assert np.array_equal(mask[6:], sample(number)[1][6:])
    outcome = case.fit(**options)
    assert outcome.code == 0
    # prediction takes the options from the checkpoint
    code, _, err = call(predict, outcome.folder, case.root / "images", "--out", case.root / "out")
    assert (code, err) == (0, "")


def test_value_range__is_checked_and_clips(case):
    assert "data.value_range: [3.0, 3.0] is no range" in case.refused(value_range=[3, 3])
    case.images(".png", lambda path, image, _: Image.fromarray(image[..., 0].astype(np.uint16) * 16).save(path))
    part = case.data(channels=1, value_range=(160, 1600)).dataset("train")
    number = int(part.name(0)[7:9])
    expected = ((sample(number)[0][..., :1] * 16.0 - 160) / 1440).clip(0, 1)
    assert np.allclose(part[0][0], expected, atol=1e-6)


def test_image_without_mask__error_skip_or_background(case):
    (case.root / "masks/00.png").unlink()
    assert "missing_mask: skip, or background" in case.refused()
    names = {
        choice: sorted(
            part.name(i)
            for part in map(case.data(missing_mask=choice).dataset, ("train", "val", "test"))
            for i in range(len(part))
        )
        for choice in ("skip", "background")
    }
    assert len(names["skip"]) == COUNT - 1
    assert len(names["background"]) == COUNT
    data = case.data(missing_mask="background")
    for part in map(data.dataset, ("train", "val", "test")):
        for index in range(len(part)):
            if part.name(index) == "images/00.png":
                assert part[index][1].shape == (SIZE, SIZE)
                assert not part[index][1].any()
    for choice in names:
        assert case.fit(missing_mask=choice).code == 0


def test_missing_mask__is_one_of_three(case):
    assert "missing_mask" in case.refused(missing_mask="ignore")


LISTS = {"train": "train.txt", "val": "val.txt"}


def write_lists(case, line, head=""):
    for name, numbers in (("train", range(6)), ("val", range(6, COUNT))):
        (case.root / f"{name}.txt").write_text(head + "".join(f"{line(i)}\n" for i in numbers))


def listed(case, **options):
    data = case.data(splits=LISTS, **options)
    return {split: [data.dataset(split).name(i) for i in range(len(data.dataset(split)))] for split in ("train", "val")}


def test_voc_lists__images_that_no_list_names_need_no_mask(case):
    case.save("images/50.png", Image.fromarray(sample(50)[0]))
    case.save("masks/60.png", Image.fromarray(sample(60)[1]))
    write_lists(case, lambda i: f"{i:02d}")
    assert [len(names) for names in listed(case).values()] == [6, 2]
    assert case.fit(splits=LISTS).code == 0
    write_lists(case, lambda i: "50" if i == 3 else f"{i:02d}")
    assert "train.txt: images/50.png has no mask; add it, or set missing_mask" in case.refused(splits=LISTS)
    assert len(listed(case, missing_mask="skip")["train"]) == 5
    assert len(listed(case, missing_mask="background")["train"]) == 6


@pytest.mark.parametrize("separator", [" ", "\t", ",", ", "])
def test_lists__pairs_of_an_image_and_a_mask(case, separator):
    shutil.move(case.root / "masks", case.root / "labels")
    write_lists(case, lambda i: f"images/{i:02d}.png{separator}labels/{i:02d}.png")
    assert listed(case)["val"] == ["images/06.png", "images/07.png"]
    case.reads_as_plain(splits=LISTS)


def test_lists__absolute_paths(case, monkeypatch):
    write_lists(case, lambda i: f"{case.root}/images/{i:02d}.png")
    assert listed(case)["val"] == ["images/06.png", "images/07.png"]
    write_lists(case, lambda i: f"{case.root}/images/{i:02d}.png {case.root}/masks/{i:02d}.png")
    assert listed(case)["val"] == ["images/06.png", "images/07.png"]
    assert case.fit(splits=LISTS).code == 0
    monkeypatch.setenv("HOME", str(case.root))
    for line in ("~/images/{:02d}.png", "~/images/{0:02d}.png ~/masks/{0:02d}.png"):
        write_lists(case, line.format)
        assert listed(case)["val"] == ["images/06.png", "images/07.png"]
    write_lists(case, lambda i: f"images/{i % 7:02d}.png masks/{i:02d}.png")
    assert "in train and in val" in case.refused(splits=LISTS)


def test_lists__pairs_that_lie_outside_the_root(case, tmp_path):
    shutil.move(case.root / "images", tmp_path / "elsewhere")
    write_lists(case, lambda i: f"{tmp_path}/elsewhere/{i:02d}.png masks/{i:02d}.png")
    assert listed(case)["val"] == [f"{tmp_path}/elsewhere/06.png", f"{tmp_path}/elsewhere/07.png"]
    assert case.fit(splits=LISTS).code == 0


def test_list_not_utf8__comments_do_not_matter_and_names_are_named(case):
    write_lists(case, lambda i: f"{i:02d}.png")
    content = (case.root / "train.txt").read_bytes()
    (case.root / "train.txt").write_bytes(b"# caf\xe9\n" + content)
    assert len(listed(case)["train"]) == 6
    (case.root / "train.txt").write_bytes(content + b"caf\xe9.png\n")
    assert "train.txt: 'caf\\udce9.png' is not an image here" in case.refused(splits=LISTS)
    (case.root / "train.txt").write_bytes(content.decode().encode("utf-16"))
    assert len(listed(case)["train"]) == 6
    (case.root / "train.txt").write_bytes(content.decode().encode("utf-16") + b"x")
    assert "train.txt: begins as UTF-16 and goes on as something else" in case.refused(splits=LISTS)


def test_name_not_utf8__is_named(case):
    for folder in ("images", "masks"):
        (case.root / folder / "03.png").rename(case.root / folder / os.fsdecode(b"caf\xe9.png"))
    assert "images: the name 'caf\\udce9.png' is not UTF-8" in case.refused()
    for folder in ("images", "masks"):
        (case.root / folder / os.fsdecode(b"caf\xe9.png")).rename(case.root / folder / "a\nb\x1b[31m.png")
    assert "'a\\nb\\x1b[31m.png' is not UTF-8 or holds a control character" in case.refused()


def test_name_nfd__pairs_after_nfc(case):
    for folder, form in (("images", "NFC"), ("masks", "NFD")):
        (case.root / folder / "01.png").rename(case.root / folder / (unicodedata.normalize(form, "é1") + ".png"))
    write_lists(case, lambda i: unicodedata.normalize("NFD", "é1") if i == 1 else f"{i:02d}")
    assert case.fit().code == 0
    assert len(listed(case)["train"]) == 6


def test_one_folder__a_suffix_tells_masks_from_images(case):
    for index in range(COUNT):
        shutil.copy(case.root / f"images/{index:02d}.png", case.root / f"p{index}.png")
        shutil.copy(case.root / f"masks/{index:02d}.png", case.root / f"p{index}_mask.png")
    for folder in ("images", "masks"):
        shutil.rmtree(case.root / folder)
    case.reads_as_plain(images=".", masks=".", mask_suffix="_mask")
    assert case.fit(images=".", masks=".", mask_suffix="_mask").code == 0
    for index in range(COUNT):
        (case.root / f"p{index}.png").rename(case.root / f"p{index}_rgb.png")
        (case.root / f"p{index}_mask.png").rename(case.root / f"p{index}.png")
    case.reads_as_plain(images=".", masks=".", image_suffix="_rgb")


def test_one_folder__needs_a_suffix(case):
    assert "is the folder of the images, too" in case.refused(images="images", masks="images")


@pytest.mark.parametrize("suffix", ["ppm", "pgm", "jp2", "avif", "jfif", "PNG", "TIFF", "webp", "npy"])
def test_formats__are_found_trained_on_and_predicted(case, call, suffix):
    def write(path, image, _):
        image = image[..., 1] if suffix == "pgm" else image
        np.save(path, image) if suffix == "npy" else Image.fromarray(image).save(path, {"jfif": "JPEG"}.get(suffix))

    case.images(f".{suffix}", write)
    outcome = case.fit()
    assert outcome.code == 0, outcome.err
    code, out, err = call(predict, outcome.folder, case.root / "images", "--out", case.root / "out")
    assert (code, err) == (0, "")
    assert f"predicted {COUNT} of {COUNT} images" in out


def test_formats__what_is_no_image_is_listed_and_counted(case, call):
    case.images(".heic", lambda path, *_: path.write_bytes(b"no"))
    assert "no file here is an image" in (message := case.refused())
    assert ".avif" in message
    case.images(".png", lambda path, image, _: Image.fromarray(image).save(path))
    outcome = case.fit()
    (case.root / "images/a.heic").write_bytes(b"no")
    (case.root / "images/b.HEIC").write_bytes(b"no")
    (case.root / "images/notes.txt").write_bytes(b"no")
    warning = "images of formats that are not read are skipped: '.heic' (2)"
    assert f"warning: {warning}; convert them to PNG" in case.fit().err
    code, printed, _ = call(doctor, case.recipe())
    assert code == 1
    assert warning in " ".join(printed.split())
    (case.root / "images/notes.txt").unlink()
    code, _, err = call(predict, outcome.folder, case.root / "images", "--out", case.root / "out")
    assert code == 0
    assert err == "skipped, as no images: '.heic' (2)\n"


def test_rgba16__four_channels_keep_the_alpha(case):
    def write(path, image, _):
        cv2.imwrite(str(path), np.dstack([image[..., ::-1], image[..., :1]]).astype(np.uint16) * 257)

    case.images(".png", write)
    part = case.data(channels=4).dataset("train")
    image = sample(int(part.name(0)[7:9]))[0]
    assert np.allclose(part[0][0], np.dstack([image, image[..., :1]]) / 255)
    assert case.fit(channels=4).code == 0
    assert case.fit(channels=3).code == 0
    # beside files without alpha
    case.save("images/00.png", Image.fromarray(sample(0)[0]))
    assert "00.png: has 3 channels, but data.channels is 4; set data.channels: 3" in case.refused(channels=4)


def test_cmyk_tiff__is_converted(case):
    case.images(".tif", lambda path, image, _: Image.fromarray(image).convert("CMYK").save(path))
    part = case.data().dataset("train")
    # Pillow takes no black out of the colors, so the way there and back loses nothing
    assert np.array_equal(part[0][0], sample(int(part.name(0)[7:9]))[0])
    assert case.fit().code == 0


def test_exif_square__doctor_names_exif(case, call):
    def turned(path, image, _):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(image).save(path, exif=exif, quality=95)

    case.images(".jpg", turned)
    _, out, err = call(doctor, case.recipe())
    assert "EXIF" in out + err


def test_ignore_0__gets_the_values_line(case):
    case.masks(".png", lambda path, mask, i: Image.fromarray(mask + (np.indices(mask.shape)[0] > i)).save(path))
    message = case.refused(classes=["road", "car"], ignore=[0])
    assert "replace ignore by  reduce_zero_label: true  in data.init_args, or add  values: {1: road, 2: car}" in message
    options = {"classes": ["road", "car"], "ignore": [0], "values": {1: "road", 2: "car"}}
    assert case.fit(**options).code == 0
    options = {"classes": ["road", "car"], "reduce_zero_label": True}
    assert case.fit(**options).code == 0
    part = case.data(**options).dataset("train")
    stored = np.asarray(Image.open(case.root / part.mask_name(0)))
    # as in the line that defines it: 0 is void, and all others count from 0
    assert np.array_equal(part[0][1], np.where(stored == 0, 255, stored - 1))
    assert "remove data.values" in case.refused(**options, values={1: "road", 2: "car"})


@pytest.mark.parametrize("classes", [["no", "yes"], ["0", "1"], ["on", "off"]])
def test_classes__that_yaml_reads_as_booleans_or_numbers_need_quotes(case, fit, classes):
    recipe = case.recipe(classes=["background", "object"])
    text = recipe.read_text().replace("- background\n", f"- {classes[0]}\n").replace("- object\n", f"- {classes[1]}\n")
    recipe.write_text(text)
    outcome = fit("--config", recipe)
    assert outcome.code == 2
    assert "quote" in outcome.err
    for name in classes:
        text = text.replace(f"- {name}\n", f"- '{name}'\n")
    recipe.write_text(text)
    assert fit("--config", recipe).code == 0


def test_root__home_is_expanded(case, monkeypatch):
    monkeypatch.setenv("HOME", str(case.root.parent))
    assert case.fit(root="~/data").code == 0


def test_rgb_masks_without_colors__get_the_colors_line_and_name_the_interpolated_file(case, call):
    palette = np.array([[0, 0, 0], [128, 64, 128]], np.uint8)

    def colored(path, mask, index):
        image = palette[mask]
        Image.fromarray(cv2.GaussianBlur(image, (5, 5), 0) if index == 3 else image).save(path)

    case.masks(".png", colored)
    for output in (case.refused(), "".join(call(doctor, case.recipe())[1:])):
        message = " ".join(output.split())
        assert "colors: {CLASS: [0, 0, 0], CLASS: [128, 64, 128]}" in message
        assert "03.png" in message


@pytest.mark.parametrize("mode", ["link", "upper", "empty", "rotated"])
def test_files__linked_upper_case_empty_or_rotated(case, mode, tmp_path):
    if mode == "link":
        shutil.move(case.root / "masks", tmp_path / "store")
        (case.root / "masks").symlink_to(tmp_path / "store")
        case.reads_as_plain()
    elif mode == "upper":
        case.masks(".PNG", lambda path, mask, _: Image.fromarray(mask).save(path))
        case.reads_as_plain()
    elif mode == "empty":
        (case.root / "masks/03.png").write_bytes(b"")
        assert "03.png: this mask is an empty file" in case.refused()
    else:
        exif = Image.Exif()
        exif[0x0112] = 3
        case.images(".jpg", lambda path, image, _: Image.fromarray(np.rot90(image, 2)).save(path, exif=exif))
        case.masks(".png", lambda path, mask, _: Image.fromarray(np.rot90(mask, 2)).save(path, exif=exif))
        case.reads_as_plain()
        assert read_image(case.root / "images/00.jpg").shape == (SIZE, SIZE, 3)


def test_threshold__applies_to_palette_colors(case):
    def write(path, mask, index):
        image = palette_image(mask, BLACK, WHITE) if index % 2 else Image.fromarray(mask * 255)
        image.save(path)

    case.masks(".png", write)
    case.reads_as_plain(threshold=128)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_threshold__of_another_scale(case, dtype):
    top = 1 if dtype == np.uint8 else 40_000
    case.masks(".tif", lambda path, mask, _: tifffile.imwrite(path, (mask * dtype(top)).astype(dtype)))
    message = case.refused(threshold=128)
    assert f"holds values up to {top}, and data.threshold is 128" in message


def _move_to(case, *folders):
    for kind in ("images", "masks"):
        for index in range(COUNT):
            folder = case.root / folders[index % len(folders)].format(kind=kind)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(case.root / f"{kind}/{index:02d}.png", folder)
        if not any((case.root / kind).iterdir()):
            (case.root / kind).rmdir()


def test_folders__that_look_like_splits_are_not_mixed(case):
    _move_to(case, "{kind}/train2017", "{kind}/val2017")
    assert "train2017, val2017 look like splits, but would be mixed" in case.refused()


@pytest.mark.parametrize("name", ["dev", "Val", "val_set"])
def test_folders__of_a_split_of_another_name(case, name):
    _move_to(case, "train/{kind}", f"{name}/{{kind}}")
    assert f"{name}/images is of no split that is known by this name" in case.refused()


def test_folders__of_val_without_masks_are_not_replaced(case):
    _move_to(case, "train/{kind}", "val/{kind}")
    (case.root / "val/masks").rename(case.root / "val/mask")
    assert "val/masks: not found beside val/images" in case.refused()


def test_missing_mask__does_not_make_images_of_masks(case):
    for index in range(COUNT):
        shutil.move(case.root / f"images/{index:02d}.png", case.root)
    (case.root / "images").rmdir()
    data = case.data(images=".", masks="masks", missing_mask="background")
    names = [
        data.dataset(split).name(index)
        for split in ("train", "val", "test")
        for index in range(len(data.dataset(split)))
    ]
    assert sorted(names) == [f"{index:02d}.png" for index in range(COUNT)]


def test_missing_mask__of_another_spelling(case):
    (case.root / "images/00.png").rename(case.root / "images/A.png")
    (case.root / "masks/00.png").rename(case.root / "masks/a.png")
    assert "masks/a.png differs by its case alone" in case.refused(missing_mask="background")
