"""Fingerprints of data: labels that change while their files keep their sizes, as every verb sees them."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import yaml
from PIL import Image

from lightseg.checkpoint.rebuild import build_data
from lightseg.compare import main as compare
from lightseg.diff import main as diff
from lightseg.evaluate import main as evaluate
from lightseg.explain import main as explain
from lightseg.metrics.per_image import PerImageResults
from lightseg.runs.fingerprint import abbreviate, add_labels, combine, differ, parse
from tests.data import fabricate
from tests.helpers.train import train

SIDE = 128
"""So that a mask that is not compressed has 16 kB, of which a fingerprint reads 4 kB at both ends."""

RECIPE = """
base: [configs/data/mask_folder.yaml, configs/net/unet.yaml]
model: {init_args: {net: {init_args: {width: 4, depth: 1}}}}
data:
  init_args: {root: ROOT, classes: [ground, road, car], train_transforms: null, batch_size: 2, num_workers: 0}
trainer: {accelerator: cpu, max_epochs: 1}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that nobody changes."""
    place = tmp_path_factory.mktemp("trained")
    for start, split in enumerate(("train", "val", "test")):
        for index in range(2 * start, 2 * start + 2):
            fabricate.save(place / "data" / split / f"images/{index}.png", fabricate.picture(index, SIDE, SIDE))
            ids = fabricate.ids(index, SIDE, SIDE, values=(0, 1, 2))
            fabricate.save(place / "data" / split / f"masks/{index}.tif", ids)
    return train(place, RECIPE.replace("ROOT", str(place / "data")))


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def relabelled(trained, tmp_path):
    """The data with a road in the middle of a test mask that is a car now; no size has changed."""
    root = shutil.copytree(trained.parents[2] / "data", tmp_path / "data")
    relabel(root / "test/masks/4.tif")
    return root


def relabel(path):
    size, mask = path.stat().st_size, np.array(Image.open(path))
    middle = mask[60:68]
    middle[middle == 1] = 2
    fabricate.save(path, mask)
    assert path.stat().st_size == size


def older(folder):
    """Make a run one of a version that recorded no labels."""
    record = json.loads((folder / "data.json").read_text())
    record.pop("pool", None)
    for split in record.values():
        split["sha256"], labels, pixels = parse(split["sha256"])
        assert labels
        assert pixels
    (folder / "data.json").write_text(json.dumps(record))
    for split in ("val", "test"):
        evaluation = PerImageResults.read(folder, split)
        replace(evaluation, data=parse(evaluation.data)[0]).write(folder)
    return folder


def test_differ__labels_that_are_not_known_are_no_others():
    one, other = add_labels("a", np.eye(3, dtype=int)), add_labels("a", np.eye(3, dtype=int)[::-1])
    assert differ(one, other)
    assert not differ(one, one)
    assert not differ(one, "a")
    assert differ(one, "b")
    assert differ(None, one)
    # the hash of a user's own may hold anything
    assert parse("my+data-4") == ("my+data-4", "", "")
    assert abbreviate(one) != abbreviate(other)


def test_differ__pixels_that_are_not_known_are_no_others():
    table = np.array([[4, 5, 71], [3, 6, -72]])
    older = add_labels("a", table * [1, 1, 0])
    assert [bool(part) for part in parse(older)] == [True, True, False]
    first, second = add_labels("a", table, b"x"), add_labels("a", table * [1, 1, -1], b"x")
    assert parse(first)[:2] == parse(second)[:2] == parse(older)[:2]
    assert differ(first, second)
    assert differ(first, add_labels("a", table, b"y"))
    assert not differ(first, older)
    assert not differ(older, second)
    assert differ(combine([first, "a"]), combine([second, "b"]))
    assert differ(combine([first, older]), combine([first, second])) is False
    assert differ(combine([first, first]), combine([first, second]))
    assert combine([first, older]) == combine([older, first])


def test_relabelled__the_files_alone_do_not_tell(folder, relabelled):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    data = build_data(config, ["--data.root", str(relabelled)])
    record, now = json.loads((folder / "data.json").read_text()), data.fingerprint()
    assert parse(now["test"]["sha256"])[0] == parse(record["test"]["sha256"])[0]
    assert [split for split in record if record[split] != now[split]] == ["test"]


def test_relabelled__is_other_data_to_every_verb(folder, relabelled, call):
    code, out, err = call(evaluate, folder, "--data.root", relabelled)
    assert (code, err) == (0, "")
    assert "as in metrics.json" not in out
    (evaluation,) = (folder / "evaluations").iterdir()
    assert evaluation.name.startswith("test-")
    code, _, err = call(explain, folder, "--data.root", relabelled)
    assert code == 2
    assert "the test split is not any more what" in err


def test_mirrored__masks_of_the_same_counts_are_other_data(folder, trained, tmp_path, call):
    root = shutil.copytree(trained.parents[2] / "data", tmp_path / "data")
    path = root / "test/masks/4.tif"
    mask = np.array(Image.open(path))
    mask[40:-40] = mask[40:-40, ::-1]
    fabricate.save(path, mask)
    code, out, err = call(evaluate, folder, "--data.root", root)
    assert (code, err) == (0, "")
    assert "as in metrics.json" not in out
    (evaluation,) = (folder / "evaluations").iterdir()
    assert evaluation.name.startswith("test-")
    record = json.loads((folder / "data.json").read_text())["test"]["sha256"]
    (old, new) = parse(record), parse(json.loads((evaluation / "metrics.json").read_text())["data"])
    assert old[:2] == new[:2]
    assert old.pixels != new.pixels


def test_image__changed_where_no_end_is(folder, trained, tmp_path):
    root = shutil.copytree(trained.parents[2] / "data", tmp_path / "data")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    path = root / "test/images/4.png"
    before = build_data(config, ["--data.root", str(root)]).split_fingerprint("test")
    content = bytearray(path.read_bytes())
    assert len(content) > 20_000
    content[10_000] ^= 1
    path.write_bytes(content)
    after = build_data(config, ["--data.root", str(root)]).split_fingerprint("test")
    assert parse(before)[:2] == parse(after)[:2]
    assert differ(before, after)


def test_explain__options_that_change_what_was_scored(folder, call):
    resized = [{"class_path": "albumentations.Resize", "init_args": {"height": 64, "width": 64}}]
    code, _, err = call(explain, folder, f"--data.eval_transforms={json.dumps(resized)}")
    assert (code, err.count("\n")) == (2, 1)
    assert f"--data.eval_transforms: changes what {folder} was scored on" in err
    assert not (folder / "explain.html").exists()


def test_diff__labels(folder, relabelled, fit, call):
    again = fit("--config", folder / "config.yaml", "--data.root", relabelled)
    assert again.code == 0, again.err
    code, out, _ = call(diff, folder, again.folder)
    assert code == 0
    assert "affects metric  data         test: other content (2 samples)" in out.splitlines()
    code, _, err = call(compare, folder, again.folder)
    assert code == 2
    assert "the content of the split is another" in err


def test_compare__folds_of_data_that_was_relabelled_between_them(trained, tmp_path, recipe, fit, call):
    root = shutil.copytree(trained.parents[2] / "data", tmp_path / "data")
    config, folders = recipe(RECIPE.replace("ROOT", str(root)), "folds.yaml"), []
    for fold in (0, 1):
        done = fit("--config", config, "--data.folds", 2, "--data.fold", fold)
        assert done.code == 0, done.err
        folders.append(done.folder)
        relabel(root / "train/masks/0.tif")
    code, out, err = call(compare, *folders)
    assert (code, err.count("\n")) == (2, 2)
    assert "and 1 more folds: its folds were dealt from different data (other content, hash " in err
    code, out, _ = call(compare, *folders, "--force")
    assert code == 0
    assert "forced: " in out
    assert "its folds were dealt from different data" in " ".join(out.split())
    for folder in folders:
        older(folder)
    code, out, _ = call(compare, *folders)
    assert code == 0
    assert "whether its folds are of the same data is unknown" in " ".join(out.split())


def test_older__is_read_as_before_and_what_is_not_known_is_said(folder, trained, tmp_path, call):
    before, look = older(folder), partial(call, evaluate)
    code, out, err = look(before)
    assert (code, err) == (0, "")
    assert "as in metrics.json" in out
    assert out.splitlines()[-1] == f"evaluation: {before / 'evaluations/test'}"
    # an evaluation of that version is replaced by one of the same
    facts = json.loads((before / "evaluations/test/metrics.json").read_text())
    facts["data"] = parse(facts["data"])[0]
    (before / "evaluations/test/metrics.json").write_text(json.dumps(facts))
    assert look(before)[0] == 0
    new = shutil.copytree(trained, tmp_path / "new")
    # as if it were a training of its own, and no copy
    metrics = json.loads((new / "metrics.json").read_text())
    (new / "metrics.json").write_text(json.dumps(metrics | {"train/seconds": 1 + metrics["train/seconds"]}))
    code, out, err = call(diff, before, new)
    assert (code, out) == (0, "no effective difference\n")
    assert f"{before / 'data.json'} is of an older version: labels not compared\n" in err
    code, out, _ = call(compare, before, new)
    assert code == 0
    assert "training labels unknown" in " ".join(out.split())
