"""Classification of pictures in a folder for each class, through the verbs and by itself."""

import json
import shutil

import albumentations as A
import numpy as np
import pytest

import lightseg
from lightseg import compare, doctor, evaluate, explain, export, predict
from lightseg.data import ImageFolder, ImageTable
from lightseg.errors import ConfigError, DataError
from tests.data import fabricate
from tests.data.datasets.labeled_pictures import CLASSES, names, paint, picture, recipe_text, refused, rows_of, stream
from tests.data.datasets.labeled_pictures import write_table as write
from tests.data.fabricate import save
from tests.helpers.train import train


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Folder of 2 × 30 pictures that no test changes."""
    return paint(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    """Run on these pictures that no test changes."""
    return train(tmp_path_factory.mktemp("trained"), recipe_text(root=root))


@pytest.fixture
def small(tmp_path):
    """Folder of 2 × 6 pictures to be broken."""
    return paint(tmp_path / "pictures", 6)


def by_split(tmp_path, **counts):
    """Return a folder with a folder for each split, of so many pictures of each class."""
    for first, (split, count) in enumerate(counts.items()):
        paint(tmp_path / split, count, 10 * first)
    return tmp_path


# ---- layouts and splits ----------------------------------------------------------------------------------------------


def test_image_folder__classes_are_the_sorted_folders(small):
    save(small / "ant/0.png", picture(0, 0))
    assert ImageFolder(root=str(small)).classes == ["ant", "cat", "dog"]
    for old, new in zip(("ant", "cat", "dog"), ("10", "9", "1"), strict=True):
        (small / old).rename(small / new)
    assert ImageFolder(root=str(small)).classes == ["1", "9", "10"]
    assert ImageFolder(["9", "10", "1"], root=str(small)).classes == ["9", "10", "1"]


def test_image_folder__samples_have_the_id_of_their_folder(small):
    module = ImageFolder(["dog", "cat"], root=str(small))
    for split, files in names(module).items():
        for index, name in enumerate(files):
            image, label = module.dataset(split)[index]
            folder, number = name.removesuffix(".png").split("/")
            assert label == ["dog", "cat"].index(folder)
            assert np.array_equal(image, picture(CLASSES.index(folder), int(number)))


def test_image_folder__fractions_hold_in_each_class(root):
    module = ImageFolder(root=str(root), val_fraction=0.2, test_fraction=0.1)
    assert {split: module.class_counts(split).tolist() for split in ("train", "val", "test")} == {
        "train": [21, 21],
        "val": [6, 6],
        "test": [3, 3],
    }


def test_image_folder__a_class_too_small_for_the_splits_is_in_train(small):
    save(small / "ant/0.png", picture(0, 0))
    module = ImageFolder(root=str(small))
    assert [module.class_counts(split).tolist() for split in ("train", "val", "test")] == [[1, 4, 4], *2 * [[0, 1, 1]]]


def test_image_folder__folders_of_splits(tmp_path):
    module = ImageFolder(root=str(by_split(tmp_path, train=3, valid=2, test=1)))
    assert module.classes == ["cat", "dog"]
    assert names(module)["val"] == ["valid/cat/10.png", "valid/cat/11.png", "valid/dog/10.png", "valid/dog/11.png"]
    assert [len(module.dataset(split)) for split in ("train", "val", "test")] == [6, 4, 2]


def test_image_folder__without_a_val_folder_val_comes_from_train(tmp_path):
    module = ImageFolder(root=str(by_split(tmp_path, train=10)), val_fraction=0.2)
    assert [module.class_counts(split).tolist() for split in ("train", "val", "test")] == [[8, 8], [2, 2], [0, 0]]


def test_image_folder__class_that_a_split_lacks_is_a_remark(tmp_path, fit, recipe):
    shutil.rmtree(by_split(tmp_path / "data", train=6, val=3) / "val/dog")
    text = recipe_text(root=tmp_path / "data", classes=["cat", "dog", "emu"])
    outcome = fit("--config", recipe(text), "--trainer.fast_dev_run", "true")
    assert outcome.code == 0
    assert "warning: no sample of train is emu: it cannot be learned" in outcome.err
    assert "warning: no sample of val is dog or emu: val does not tell how well it is found" in outcome.err


def test_image_folder__lists(small):
    (small / "train.txt").write_text("cat/00\ncat/01.png\ndog/00.png\n")
    (small / "val.txt").write_text("dog/05\n")
    module = ImageFolder(root=str(small), splits={"train": "train.txt", "val": "val.txt"})
    assert names(module) == {"train": ["cat/00.png", "cat/01.png", "dog/00.png"], "val": ["dog/05.png"], "test": []}


def test_image_folder__files_that_differ_by_extension_are_two_samples(small):
    save(small / "cat/00.jpg", picture(0, 50))
    (small / "train.txt").write_text("cat/00.jpg\ndog/01\n")
    (small / "val.txt").write_text("cat/00.png\ndog/02\n")
    module = ImageFolder(root=str(small), splits={"train": "train.txt", "val": "val.txt"})
    assert names(module)["val"] == ["cat/00.png", "dog/02.png"]


def test_image_folder__groups_are_in_one_split_and_in_one_fold(root):
    options = {"root": str(root), "group": "([0-9])[0-9].png"}
    for number in range(3):
        module = ImageFolder(**options, folds=3, fold=number, test_fraction=0)
        groups = [{name[4] for name in files} for files in names(module).values()]
        assert groups[0] | groups[1] == set("012")
        assert not groups[0] & groups[1]


def test_image_folder__folds_are_stratified_and_cover_all(root):
    modules = [ImageFolder(root=str(root), folds=3, fold=fold, test_fraction=0) for fold in range(3)]
    assert [module.class_counts("val").tolist() for module in modules] == 3 * [[10, 10]]
    assert sorted(name for module in modules for name in names(module)["val"]) == [path for path, _ in rows_of(root)]


def test_image_folder__nested_folders_may_be_merged_and_hidden_ones_are_left_out(small):
    save(small / "cat/kittens/0.png", picture(0, 50))
    save(small / "cat/.thumbnails/0.png", picture(0, 51))
    save(small / ".trash/0.png", picture(0, 52))
    module = ImageFolder(root=str(small), nested="merge", val_fraction=0, test_fraction=0, splits=None)
    assert module.classes == ["cat", "dog"]
    every = [name for files in names(ImageFolder(root=str(small), nested="merge")).values() for name in files]
    assert len(every) == 13
    assert "cat/kittens/0.png" in every


def test_image_folder__sampling_draws_a_rare_class_as_often(small):
    for index in range(1, 6):
        (small / f"dog/{index:02}.png").unlink()
    for index in range(1, 3):
        save(small / f"dog/{index:02}.png", picture(1, index))
    module = ImageFolder(root=str(small), sampling="class_balanced", test_fraction=0)
    weights, table = module.draw_weights(), module.class_table()
    assert np.allclose(weights @ table, [0.5, 0.5])


def test_image_folder__channels_and_value_range(small):
    for path in small.rglob("*.png"):
        save(path, np.full((8, 8), 2000, np.uint16))
    module = ImageFolder(root=str(small), channels=1, value_range=(0, 4000))
    image, _ = module.dataset("train")[0]
    assert (image.shape, image.dtype, float(image.max())) == ((8, 8, 1), np.float32, 0.5)
    assert module.pixel_stats()[0] == [0.5]


def test_image_folder__fingerprint_and_cache_key_see_a_moved_file(small):
    before = ImageFolder(root=str(small), val_fraction=0.2, test_fraction=0.2)
    shas, key = before.fingerprint(), before.dataset("train").cache_key()
    file = next(name for name in names(before)["train"] if name.startswith("cat"))
    (small / file).rename(small / "dog" / "moved.png")
    after = ImageFolder(root=str(small), val_fraction=0.2, test_fraction=0.2)
    assert after.fingerprint() != shas
    assert after.dataset("train").cache_key() != key


def test_image_folder__images_of_different_sizes_need_a_transform(small, fit, recipe, tmp_path):
    for seed, path in enumerate(small.rglob("*.png")):
        save(path, fabricate.picture(seed, 16, 16))
    train, val, _ = names(ImageFolder(root=str(small))).values()
    options = {"root": small, "batch_size": 4, "train_transforms": [], "eval_transforms": []}
    save(small / train[-1], fabricate.picture(0, 16, 20))
    message = refused(fit, recipe, tmp_path, **options)
    assert "training images of different sizes (16×16 and 16×20) cannot form a batch" in message
    assert "end data.train_transforms with a RandomCrop (pad_if_needed: true) or a Resize" in message
    # the net is for one size, which a validation image does not have
    save(small / train[-1], fabricate.picture(99, 16, 16))
    save(small / val[-1], fabricate.picture(0, 16, 20))
    assert "SimpleCNN was built for 16×16 images and got 16×20" in refused(fit, recipe, tmp_path, **options)
    assert not (tmp_path / "runs").exists()


def test_image_folder__evaluation_may_crop_but_not_flip(root):
    ImageFolder(root=str(root), eval_transforms=[A.CenterCrop(8, 8)])
    with pytest.raises(ConfigError, match="use Resize, LongestMaxSize, SmallestMaxSize, CenterCrop, PadIfNeeded"):
        ImageFolder(root=str(root), eval_transforms=[A.HorizontalFlip()])


# ---- what folders may have wrong -------------------------------------------------------------------------------------


def _unknown_folder(root):
    (root / "cat").rename(root / "cot")
    return {"classes": ["cat", "dog"]}, "pictures/cot: cot is not in data.classes; did you mean cat?"


def _one_class(root):
    shutil.rmtree(root / "dog")
    return {}, "pictures: 1 class (cat); at least two are needed"


def _no_class(root):
    for path in root.rglob("*.png"):
        path.rename(root / f"{path.parent.name}{path.name}")
    shutil.rmtree(root / "cat")
    shutil.rmtree(root / "dog")
    return {}, "has no folder for each class, such as cat/1.jpg and dog/1.jpg; it holds cat00.png"


def _empty_class(root):
    (root / "emu").mkdir()
    (root / "emu/notes.txt").write_text("")
    return {}, "emu: has no image of the class; add some, or remove it (it holds notes.txt)"


def _nested(root):
    save(root / "cat/kittens/0.png", picture(0, 50))
    return {}, "cat/kittens/0.png: lies in a folder inside that of the class cat (1 of 7 images do); set data.nested"


def _loose(root):
    save(root / "0.png", picture(0, 50))
    return {}, "0.png: lies in no folder of a class"


def _broken(root):
    path = root / "cat/03.png"
    path.write_bytes(path.read_bytes()[:20])
    return {"test_fraction": 0}, "cat/03.png: this image cannot be read, the file is broken or truncated"


def _truncated(root):
    # the header is whole, so that only decoding shows it
    path = root / "cat/03.png"
    path.write_bytes(path.read_bytes()[:200])
    return {"test_fraction": 0}, "cat/03.png: this image cannot be read, the file is broken or truncated"


def _unknown_split(root):
    for name in ("train", "dev"):
        shutil.copytree(root / "cat", root / name / "cat")
        shutil.copytree(root / "dog", root / name / "dog")
    shutil.rmtree(root / "cat")
    shutil.rmtree(root / "dog")
    return {}, "dev: is of no split, but train beside it are splits; rename it to train, val or test"


def _splits_without_classes(root):
    (root / "cat").rename(root / "train")
    (root / "dog").rename(root / "test")
    return {}, "test, train look like splits, but would be mixed; put a folder for each class into them; if"


def _case(root):
    shutil.copytree(root / "cat", root / "Cat")
    return {}, "the classes Cat and cat differ by case alone"


def _group_in_two_splits(root):
    for split, name in (("train", "00"), ("val", "00")):
        save(root / split / "cat" / f"{name}.png", picture(0, 0))
        save(root / split / "dog" / f"{name}.png", picture(1, 0))
    shutil.rmtree(root / "cat")
    shutil.rmtree(root / "dog")
    return {"group": "([0-9]+)"}, "of group '00': in train and in val"


def _linked_in_two_classes(root):
    (root / "dog/link.png").symlink_to(root / "cat/00.png")
    return {"test_fraction": 0}, "remove one of the two"


def _linked_in_two_splits(root):
    for split in ("train", "val"):
        shutil.copytree(root, root.parent / "splits" / split)
    (root.parent / "splits/val/cat/04.png").unlink()
    (root.parent / "splits/val/cat/04.png").hardlink_to(root.parent / "splits/train/cat/03.png")
    return {
        "root": root.parent / "splits"
    }, "splits: val/cat/04.png is the file train/cat/03.png; remove one of the two"


BROKEN = [
    *(_unknown_folder, _one_class, _no_class, _empty_class, _nested, _loose, _broken, _truncated, _unknown_split),
    *(_splits_without_classes, _case, _group_in_two_splits, _linked_in_two_classes, _linked_in_two_splits),
]


@pytest.mark.parametrize("break_it", BROKEN, ids=lambda function: function.__name__.strip("_"))
def test_image_folder__broken_folder_is_one_line(break_it, small, fit, recipe, tmp_path):
    options, message = break_it(small)
    assert message in refused(fit, recipe, tmp_path, **{"root": small, "batch_size": 2, **options})
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": ["cat"]}, "data.classes: 1 class (cat)"),
        ({"classes": ["cat", "cat"]}, "data.classes: cat is listed twice"),
        ({"classes": [str(number) for number in range(256)]}, "data.classes: 256 classes are too many"),
        ({"val_fraction": 0.6, "test_fraction": 0.5}, "must each be 0 or more, with a sum below 1, got 0.6, 0.5"),
        ({"group": "p[0-9]"}, "needs parentheses"),
    ],
)
def test_image_folder__contradictory_options(small, options, words):
    with pytest.raises(ConfigError) as caught:
        ImageFolder(**{"root": str(small), **options}).check()
    assert words in str(caught.value)


def test_image_folder__missing_root_with_a_near_name(small):
    with pytest.raises(DataError, match="the folder does not exist; did you mean .*pictures"):
        ImageFolder(root=str(small.parent / "picture")).check()


# ---- the verbs -------------------------------------------------------------------------------------------------------


def test_image_folder__stream_is_that_of_the_same_table(root, tmp_path):
    rows = rows_of(root)
    table = write(tmp_path / "labels.csv", rows[::-1])
    options = {
        "root": str(root),
        "batch_size": 8,
        "num_workers": 0,
        "train_transforms": [A.RandomResizedCrop((16, 16))],
    }
    assert stream(ImageFolder(**options)) == stream(ImageTable(str(table), **options))
    rows[3][1] = "dog"
    relabeled = ImageTable(str(write(table, rows)), **options)
    assert stream(ImageFolder(**options)) != stream(relabeled)


def test_image_folder__trains(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["test/accuracy"] > 0.95
    assert metrics["val/accuracy"] > 0.95


def test_image_folder__evaluates_on_other_pictures(trained, call, tmp_path):
    paint(tmp_path / "others", 8, first=40)
    code, out, _ = call(evaluate.main, trained, "--split", "all", "--data.root", tmp_path / "others")
    assert code == 0
    assert "accuracy" in out
    shutil.rmtree(tmp_path / "others/dog")
    code, _, err = call(evaluate.main, trained, "--split", "all", "--data.root", tmp_path / "others")
    assert (code, len(err.splitlines())) == (2, 1)


def test_image_folder__predicts(trained, root, call, tmp_path):
    code, _, _ = call(predict.main, trained, root / "cat", "--out", tmp_path / "out")
    assert code == 0
    labels = (tmp_path / "out/labels.csv").read_text().splitlines()[1:]
    assert len(labels) == 30
    assert sum(",cat," in line for line in labels) >= 29


def test_image_folder__explains_and_compares(trained, call, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    assert call(explain.main, run)[0] == 0
    assert (run / "explain.html").exists()
    code, out, err = call(compare.main, run)
    assert code == 0, err
    assert "accuracy %" in out


def test_image_folder__exports(trained, root, call, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    assert call(export.main, run, "--format", "safetensors")[0] == 0
    (file,) = (run / "export").rglob("*.safetensors")
    image = root / "dog/03.png"
    expected, actual = (lightseg.load(model).predict(image, details=True) for model in (run, file))
    assert np.array_equal(expected.logits, actual.logits)
    assert actual.classes == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_image_folder__exports_a_graph_and_tells_what_comes_first(trained, call, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    code, _, err = call(export.main, run, "--format", "onnx")
    assert code == 0, err
    (card,) = (run / "export").rglob("*.md")
    assert "SmallestMaxSize" in card.read_text()
    assert "CenterCrop" in card.read_text()


def test_image_folder__doctor_lists_what_is_wrong(small, call, tmp_path):
    root = by_split(tmp_path / "data", train=8, val=4)
    shutil.copy(root / "train/cat/00.png", root / "val/cat/copy.png")
    (root / "train/dog/03.png").write_bytes(b"")
    shutil.rmtree(root / "val/dog")
    save(root / "train/cat/kittens/0.png", picture(0, 60))
    save(root / "train/emu/0.png", picture(0, 61))
    report, recipe = tmp_path / "report.json", tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text(root=root, classes=["cat", "dog"], batch_size=2))
    code, _, _ = call(doctor.main, recipe, "--json", report, "--out", tmp_path / "out")
    assert code == 1
    content = json.loads(report.read_text())
    findings = {finding["check"]: finding for finding in content["findings"]}
    assert findings["duplicates across splits"]["files"] == ["train/cat/00.png", "val/cat/copy.png"]
    assert findings["broken file"]["files"] == ["train/dog/03.png"]
    assert findings["nested folder"]["files"] == ["train/cat/kittens/0.png"]
    assert findings["undeclared class"]["files"] == ["train/emu/"]
    assert findings["missing class"]["what"] == "dog does not occur in val"
    assert [row["images"] for row in content["classes"]] == [[9, 5, 0], [7, 0, 0]]


def test_image_folder__doctor_finds_sizes_and_balance(call, tmp_path):
    root = by_split(tmp_path / "data", train=20, val=4)
    for index in range(3, 20):
        (root / f"train/dog/{index:02}.png").unlink()
    report, recipe = tmp_path / "report.json", tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text(root=root, train_transforms=[]))
    code, _, _ = call(doctor.main, recipe, "--json", report, "--out", tmp_path / "out")
    assert code == 1
    findings = {finding["check"]: finding for finding in json.loads(report.read_text())["findings"]}
    assert "training images of different sizes" in findings["training"]["what"]
    assert "dog (13.04%)" in findings["imbalance"]["what"]
