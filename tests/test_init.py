"""A first recipe for odd folders: what it says, that the doctor takes it, and that it trains."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from lightseg import doctor
from lightseg.init import main
from tests.data.annotations import one_drawing
from tests.data.fabricate import picture, save, save_palette

HEIGHT, WIDTH = 40, 48
COUNT = 20
COLORS = np.array([[0, 0, 0], [255, 0, 0], [12, 200, 99]], np.uint8)


def image(index):
    return picture(index, HEIGHT, WIDTH)


def mask(index, *values):
    """Each value in a rectangle of its own, none between two others."""
    pixels = np.full((HEIGHT, WIDTH), values[0], np.uint8)
    for column, value in enumerate(values[1:]):
        pixels[5 + index % 9 : 25, 2 + 15 * column : 12 + 15 * column] = value
    return pixels


def color_masks(root):
    for index in range(COUNT):
        save(root / "JPEGImages" / f"{index}.jpg", image(index))
        save(root / "SegmentationClass" / f"{index}.png", COLORS[mask(index, 0, 1, 2)])


def ids_with_gaps(root):
    for index in range(COUNT):
        save(root / f"scan_{index:03}.png", image(index))
        save(root / f"scan_{index:03}_mask.png", mask(index, 0, 3, 7))


def palettes(root):
    for index in range(COUNT):
        split = "val" if index > 14 else "train"
        save(root / split / "img" / f"{index}.png", image(index))
        save_palette(root / split / "labels" / f"{index}.png", mask(index, 0, 1, 2, 255))


def one_name(root):
    for index in range(COUNT):
        save(root / "train" / f"{index}.jpg", image(index))
        save(root / "train" / f"{index}.png", mask(index, 0, 1))


def black_and_white(root):
    for index in range(COUNT):
        save(root / "imgs" / f"{index}.png", image(index))
        save(root / "gt" / f"{index}_seg.png", mask(index, 0, 255))


def class_folders(root):
    for index in range(COUNT):
        save(root / ("cat" if index < 16 else "dog") / f"{index}.png", picture(index, 32, 32))


def table(root):
    for index in range(COUNT):
        save(root / "photos" / f"{index}.png", image(index))
    rows = [f"{index}.png;{'ab'[index % 2]}" for index in range(COUNT)]
    (root / "labels.csv").write_text("\n".join(["image_id;kind", *rows]))


def deep_images(root):
    for index in range(COUNT):
        save(root / "images" / f"{index}.tif", image(index)[..., 0].astype(np.uint16) * 16)
        save(root / "masks" / f"{index}.png", mask(index, 0, 1))


def class_masks(root, template="masks/{class}/{name}.png", value=1):
    """Images, and a mask of a road and one of a car that cover each other in part."""
    for index in range(COUNT):
        save(root / "images" / f"{index}.png", image(index))
        for name, pixels in (("road", mask(index, 0, value)), ("car", np.roll(mask(index, 0, value), 6, 1))):
            save(root / template.replace("{class}", name).replace("{name}", str(index)), pixels)


def class_endings(root):
    class_masks(root, "masks/{name}_{class}.png", 255)


def sample_folders(root):
    class_masks(root, "{name}/{class}.png")
    for index in range(COUNT):
        (root / "images" / f"{index}.png").rename(root / str(index) / "image.png")
    (root / "images").rmdir()


def classes_beside_images(root):
    class_masks(root, "{class}/{name}.png")


def image_folders(root):
    for index in range(COUNT):
        save(root / str(index) / "image.png", image(index))
        save(root / str(index) / "mask.png", mask(index, 0, 1, 2))


def mask_pages(root):
    for index in range(COUNT):
        save(root / "images" / f"{index}.png", image(index))
        pages = np.stack([mask(index, 0, 1), np.roll(mask(index, 0, 1), 6, 1)])
        (root / "masks").mkdir(exist_ok=True)
        tifffile.imwrite(root / "masks" / f"{index}.tif", pages, photometric="minisblack")
    (root / "classes.txt").write_text("road\ncar\n")


def pair_lists(root):
    for index in range(COUNT):
        save(root / "a" / f"{index}.png", image(index))
        save(root / "b" / f"of_{index}.png", mask(index, 0, 1))
    for split, indices in {"train": range(14), "val": range(14, COUNT)}.items():
        rows = [f"a/{index}.png,b/of_{index}.png" for index in indices]
        (root / f"{split}.csv").write_text("\n".join(["image,mask", *rows]))


def label_table(root):
    for index in range(COUNT):
        save(root / "photos" / f"{index}.png", picture(index, 32, 32))
    rows = [f"{index}.png,{index % 2},{int(index % 3 > 0)}" for index in range(COUNT)]
    (root / "labels.csv").write_text("\n".join(["path,cat,dog", *rows]))


def unlabeled(root):
    for index in range(3):
        save(root / f"{index}.png", image(index))


FOLDERS = {
    color_masks: {
        "images": "JPEGImages",
        "masks": "SegmentationClass",
        "classes": ["black", "class_1", "red"],
        "colors": {"black": [0, 0, 0], "class_1": [12, 200, 99], "red": [255, 0, 0]},
    },
    ids_with_gaps: {
        "images": ".",
        "masks": ".",
        "mask_suffix": "_mask",
        "classes": ["class_0", "class_3", "class_7"],
        "values": {0: "class_0", 3: "class_3", 7: "class_7"},
    },
    palettes: {
        "images": "img",
        "masks": "labels",
        "classes": ["class_0", "class_1", "class_2"],
        "values": {0: "class_0", 1: "class_1", 2: "class_2"},
        "colors": {"class_0": [0, 0, 0], "class_1": [128, 0, 0], "class_2": [0, 128, 0]},
    },
    one_name: {
        "images": ".",
        "masks": ".",
        "image_suffix": ".jpg",
        "mask_suffix": ".png",
        "classes": ["background", "object"],
    },
    black_and_white: {
        "images": "imgs",
        "masks": "gt",
        "mask_suffix": "_seg",
        "classes": ["background", "object"],
        "values": {0: "background", 255: "object"},
    },
    class_folders: {"sampling": "class_balanced", "eval_transforms": []},
    table: {
        "path_column": "image_id",
        "label_column": "kind",
        "delimiter": ";",
        "eval_transforms": [],
    },
    deep_images: {"channels": 1, "value_range": [0, 4095], "classes": ["background", "object"]},
    class_masks: {"classes": ["car", "road"]},
    class_endings: {"classes": ["car", "road"], "mask_files": "{name}_{class}"},
    sample_folders: {
        "classes": ["car", "road"],
        "images": ".",
        "masks": ".",
        "image_suffix": "/image",
        "mask_files": "{name}/{class}",
    },
    classes_beside_images: {"classes": ["car", "road"], "masks": "."},
    image_folders: {
        "classes": ["class_0", "class_1", "class_2"],
        "images": ".",
        "masks": ".",
        "image_suffix": "/image",
        "mask_suffix": "/mask",
    },
    mask_pages: {"classes": ["road", "car"], "mask_files": "{name}"},
    pair_lists: {"classes": ["background", "object"], "splits": {"train": "train.csv", "val": "val.csv"}},
    label_table: {"label_columns": ["cat", "dog"], "eval_transforms": []},
}
"""Options of the data that the recipe states, beside root, table, batch size and train transforms."""

COMMENTS = {
    color_masks: "rename them in every line of data: the names are made up",
    ids_with_gaps: "value in the masks: class; several values of one class merge",
    palettes: "255 is void: never trained on, never scored",
    one_name: "the names are made up",
    black_and_white: "Dice beside cross-entropy: every class counts alike",
    class_folders: "every class is drawn equally often: the largest has 12 images in train, the smallest 2",
    table: "images per step, limited by the number of images, on a",
    deep_images: "the greatest value is 4080: 12 bits in files of 16; these become 0 and 1",
    class_masks: "each class is there or not by itself, since 25.0% of the pixels with a class have several",
    class_endings: "as the paths of the masks name them, in the order of the channels; pixels may have several",
    sample_folders: "Dice beside the cross-entropy of each class",
    classes_beside_images: "each class is there or not by itself",
    image_folders: "Dice beside cross-entropy",
    mask_pages: "names of classes.txt, in the order of the channels",
    pair_lists: "images per step, limited by",
    label_table: "a column for each class, since a picture may have several: 35% of the rows do",
}
"""A reason in a comment of the recipe."""

FAST = (color_masks, class_folders)

OVERLAPPING = (class_masks, class_endings, sample_folders, classes_beside_images, mask_pages)

TASKS = dict.fromkeys(OVERLAPPING, "MultilabelSegmentationTask") | {label_table: "MultilabelClassificationTask"}
"""Task of the data whose classes may overlap."""


@pytest.fixture
def init(call, tmp_path, monkeypatch):
    """Write the recipe of a folder that a function makes in the working directory."""
    monkeypatch.chdir(tmp_path)

    def run(make, *options):
        root = tmp_path / make.__name__
        root.mkdir(exist_ok=True)
        make(root)
        return call(main, root.name, *options)

    return run


@pytest.mark.parametrize("make", FOLDERS, ids=lambda make: make.__name__)
def test_init__says_what_it_finds_and_states_the_options(init, make):
    code, out, err = init(make)
    assert (code, err) == (0, "")
    assert out.startswith(f"{make.__name__}: ")
    assert out.splitlines()[-2] == f"check it: python -m lightseg.doctor {make.__name__}.yaml"
    text = Path(f"{make.__name__}.yaml").read_text()
    assert yaml.safe_load(text)["model"].get("class_path") == TASKS.get(make)
    options = yaml.safe_load(text)["data"]["init_args"]
    paths = {"root": make.__name__}
    if make in (table, label_table):
        paths = {"table": f"{make.__name__}/labels.csv", "root": f"{make.__name__}/photos"}
    assert {name: options.pop(name) for name in paths} == paths
    transforms = options.pop("train_transforms")
    assert [item["class_path"].rpartition(".")[2] for item in transforms][1:3] == ["RandomCrop", "HorizontalFlip"]
    assert 1 <= options.pop("batch_size") <= COUNT // 4
    assert options == FOLDERS[make]
    # comments are wrapped
    assert COMMENTS[make] in " ".join(text.replace("#", " ").split())
    assert max(map(len, text.splitlines())) <= 120


def test_init__asks_for_what_labels_the_images(init):
    code, out, err = init(unlabeled)
    assert (code, out) == (2, "")
    assert err == (
        "lightseg: error: unlabeled: 3 images and nothing that labels them, neither masks nor annotations nor folders "
        "of classes nor a table; name the folder of the masks: --data.masks NAME\n"
    )


def test_init__no_images(init, tmp_path):
    def texts(root):
        (root / "notes.txt").write_text("later")

    code, _, err = init(texts)
    assert code == 2
    assert err == ("lightseg: error: texts: no file is an image; it holds notes.txt; name the folder of the images\n")


def test_init__overwrites_nothing(init, tmp_path):
    target = tmp_path / "mine.yaml"
    target.write_text("# precious")
    code, out, err = init(black_and_white, "--out", "mine.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("lightseg: error: mine.yaml: exists, and is not overwritten; give another name: --out ")
    assert target.read_text() == "# precious"
    assert init(black_and_white, "--out", "second.yaml")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["mine.yaml", "second.yaml"]


def test_init__a_link_that_leads_nowhere_is_not_followed(init, tmp_path):
    (tmp_path / "black_and_white.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    code, _, err = init(black_and_white)
    assert code == 2
    assert "is a link that leads nowhere" in err
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_init__an_answer_decides_between_two_folders(init):
    def two_masks(root):
        black_and_white(root)
        for index in range(COUNT):
            save(root / "labels" / f"{index}.png", mask(index, 0, 1, 2))

    code, _, err = init(two_masks)
    assert code == 2
    assert (
        err == "lightseg: error: two_masks: gt and labels may each hold the masks; name the folder: --data.masks gt\n"
    )
    code, _, err = init(two_masks, "--data.masks", "labels", "--data.classes", "[ground, tree, house]")
    assert (code, err) == (0, "")
    options = yaml.safe_load(Path("two_masks.yaml").read_text())["data"]["init_args"]
    assert (options["masks"], options["classes"]) == ("labels", ["ground", "tree", "house"])
    assert "values" not in options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.mask", "gt"], "--data.mask: no option of MaskFolder; did you mean masks?"),
        (["--data.masks"], "--data.masks: has no value"),
        (["--data.values", "{0: a"], "--data.values: {0: a is no YAML"),
        (["--data.classes", '!!int ""'], '--data.classes: !!int "" is no YAML; quote it'),
        (["--outt", "x.yaml"], "unrecognized arguments: --outt"),
        (["--out", "no/where.yaml"], "there is no folder no"),
    ],
)
def test_init__bad_options(init, options, message):
    code, out, err = init(black_and_white, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_init__names_of_a_file(init):
    def named(root):
        palettes(root)
        (root / "classes.txt").write_text("sky\nroad\ntree\n")

    assert init(named)[0] == 0
    text = Path("named.yaml").read_text()
    assert yaml.safe_load(text)["data"]["init_args"]["classes"] == ["sky", "road", "tree"]
    assert "# names of classes.txt" in text


def test_init__unpaired_files_are_named_with_the_option(init):
    def lacking(root):
        black_and_white(root)
        (root / "gt" / "4_seg.png").unlink()

    code, _, err = init(lacking)
    assert code == 2
    assert "lacking/imgs/4.png: no mask for this image" in err
    assert "set missing_mask: skip" in err
    assert init(lacking, "--data.missing_mask", "skip")[0] == 0


def outlines(root, make):
    """Pictures with their annotations, below a folder of the data."""
    make(root)
    # names of images only
    (root / "notes.json").write_text('{"author": "me"}')


@pytest.mark.parametrize(
    ("make", "options", "content"),
    [
        (one_drawing.coco, {"annotations": "annotations/instances.json"}, "outlines of COCO"),
        (one_drawing.yolo, {"annotations": "data.yaml"}, "outlines of YOLO"),
        (one_drawing.labelme, {"annotations": "."}, "outlines of LabelMe"),
        (one_drawing.cvat, {"annotations": "annotations.xml"}, "outlines of CVAT"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_init__annotations(init, call, make, options, content):
    def data(root):
        outlines(root, make)

    code, out, err = init(data)
    assert (code, err) == (0, "")
    assert out.startswith(f"data: {content}\nimages: 8-bit color, 60×40 pixels\n")
    recipe = yaml.safe_load(Path("data.yaml").read_text())
    # much of the road covers the car
    assert recipe["base"][0] == "configs/data/multilabel_annotated_images.yaml"
    stated = recipe["data"]["init_args"]
    assert {name: stated[name] for name in options} == options
    names = sorted(one_drawing.NAMES) if make is one_drawing.labelme else one_drawing.NAMES
    assert stated["classes"] == names
    assert init(data, "--data.overlap", "area", "--out", "single.yaml")[0] == 0
    single = yaml.safe_load(Path("single.yaml").read_text())
    assert single["base"][0] == "configs/data/annotated_images.yaml"
    assert single["data"]["init_args"]["classes"] == ["background", *names]
    assert "class_path" not in single["model"]


def test_init__outlines_that_hardly_overlap_give_each_pixel_one_class(init):
    assert init(few_overlaps)[0] == 0
    text = Path("few_overlaps.yaml").read_text()
    recipe = yaml.safe_load(text)
    assert recipe["base"][0] == "configs/data/annotated_images.yaml"
    assert recipe["data"]["init_args"]["overlap"] == "area"
    assert "the format has no order of depth" in text
    assert recipe["data"]["init_args"]["classes"] == ["background", "road", "sign"]
    assert "left out, since no object is of it: car" in " ".join(text.replace("#", " ").split())


def coco(root):
    """Files of COCO for two splits, with those of key points beside them."""
    one_drawing.pictures(root)
    for split, indices in {"train2017": range(8), "val2017": (8, 9)}.items():
        for kind in ("instances", "person_keypoints"):
            path = root / "annotations" / f"{kind}_{split}.json"
            one_drawing.write_json(path, one_drawing.coco_content(indices=indices))


def test_init__a_file_of_annotations_brings_those_of_other_splits(init, call):
    assert init(coco)[0] == 0
    code, out, err = call(main, "coco/annotations/instances_train2017.json")
    assert (code, err) == (0, "")
    assert "splits: train 8, val 2, test 0 (2 files)" in out
    options = yaml.safe_load(Path("instances_train2017.yaml").read_text())["data"]["init_args"]
    assert options["root"] == "coco"
    files = {split: f"annotations/instances_{split}2017.json" for split in ("train", "val")}
    assert options["annotations"] == files
    assert yaml.safe_load(Path("coco.yaml").read_text())["data"]["init_args"] == options


def few_overlaps(root):
    """Outlines of COCO, one beside the other."""
    content = one_drawing.coco_content()
    content["annotations"] = [item for item in content["annotations"] if item["category_id"] != 8]
    one_drawing.write_json(one_drawing.pictures(root) / "instances.json", content)


def tags(root, names_of=lambda index: ["cat"] * (index % 2) + ["dog"] * (index % 3 > 0)):
    """Tags of whole images in CVAT."""
    rows = []
    for index in range(COUNT):
        save(root / f"{index}.png", picture(index, 32, 32))
        children = "".join(f'<tag label="{name}"/>' for name in names_of(index))
        rows.append(f'<image id="{index}" name="{index}.png" width="32" height="32">{children}</image>')
    (root / "a.xml").write_text(f"<annotations>{''.join(rows)}</annotations>")


ANNOTATED = (coco, few_overlaps, tags, one_drawing.yolo, one_drawing.labelme, one_drawing.cvat)


@pytest.mark.parametrize(
    "make",
    [pytest.param(make, marks=[] if make in FAST else pytest.mark.slow) for make in (*FOLDERS, *ANNOTATED)],
    ids=lambda make: make.__name__,
)
def test_init__its_recipe_passes_the_doctor_and_trains(init, make, call, fit):
    assert init(make)[0] == 0
    recipe, data = f"{make.__name__}.yaml", ("--data.num_workers", "0")
    code, out, _ = call(doctor.main, recipe, *data)
    assert code == 0, out
    outcome = fit("--config", recipe, *data, "--trainer.accelerator", "cpu", "--trainer.max_epochs", "1")
    assert outcome.code == 0, outcome.err


def test_init__two_files_of_annotations(init):
    def both(root):
        one_drawing.cvat(root)
        one_drawing.coco(root)

    code, _, err = init(both)
    assert code == 2
    assert "both: annotations.xml and annotations/instances.json each annotate images; name one: --data.anno" in err
    assert init(both, "--data.annotations", "annotations.xml")[0] == 0


def test_init__tags_of_whole_images(init):
    def one_tag(root):
        tags(root, lambda index: ["cat" if index % 2 else "dog"])

    code, out, err = init(one_tag)
    assert (code, err) == (0, "")
    assert out.startswith("one_tag: labels of CVAT\n")
    recipe = yaml.safe_load(Path("one_tag.yaml").read_text())
    assert recipe["base"][0] == "configs/data/annotated_images_classification.yaml"
    assert "class_path" not in recipe["model"]
    assert init(tags)[0] == 0
    recipe = yaml.safe_load(Path("tags.yaml").read_text())
    assert recipe["base"][0] == "configs/data/annotated_images_labels.yaml"
    assert recipe["model"]["class_path"] == "MultilabelClassificationTask"


def test_init__masks_that_a_class_lacks_are_asked_for(init):
    def lacking(root):
        class_masks(root)
        (root / "masks" / "car" / "4.png").unlink()

    code, _, err = init(lacking)
    assert code == 2
    assert "lacking/images/4.png: no mask of car for this image; looked for masks/car/4.*" in err
    assert "missing_mask: absent" in err
    assert init(lacking, "--data.missing_mask", "absent")[0] == 0


def test_init__a_table_of_images_and_masks_is_to_be_a_list_for_each_split(init):
    def pairs(root):
        pair_lists(root)
        (root / "val.csv").unlink()

    code, _, err = init(pairs)
    assert (code, err.count("\n")) == (2, 1)
    assert "train.csv: names images (image) and masks (mask); write these two columns alone into a list for each" in err


def test_init__a_file_that_annotates_nothing(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.json").write_text("{}")
    (tmp_path / "a" / "notes.txt").write_text("later")
    code, _, err = call(main, "a/a.json")
    assert (code, err.count("\n")) == (2, 1)
    assert "a/a.json: no image is beside it; give the folder of the data, and --data.annotations FILE" in err
    code, _, err = call(main, "a/notes.txt")
    assert code == 2
    assert "a/notes.txt: is a file; give a folder, or a JSON, YAML or XML file of annotations" in err
