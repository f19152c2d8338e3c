"""TensorBoard's view of a run, read back by tensorboard."""

import json
import shutil

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightseg.fit import main
from lightseg.tracking.tensorboard_view import TensorBoardView
from tests.conftest import ROOT, TINY


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run with its event files."""
    place = tmp_path_factory.mktemp("run")
    (place / "tiny.yaml").write_text(TINY)
    overlay = ROOT / "configs/logging/tensorboard.yaml"
    assert main(["--config", str(place / "tiny.yaml"), "--config", str(overlay), "--runs_dir", str(place)]) == 0
    return next((place / "tiny").iterdir())


def _read(folder):
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    return events.Reload()


def _assert_holds(folder, events):
    """The event files have each number of the log once, and no others but the final ones."""
    expected = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        line = json.loads(line)
        step = line.pop("step")
        for name, value in line.items():
            if value is not None:
                expected.setdefault(name, {})[step] = value
    for name, points in expected.items():
        logged = [(point.step, point.value) for point in events.Scalars(name)]
        assert [step for step, _ in logged] == sorted(points), name
        assert dict(logged) == pytest.approx(points)


@pytest.mark.pictures
def test_tensorboard__has_all_that_the_folder_has(run_folder):
    events = _read(run_folder)
    _assert_holds(run_folder, events)
    metrics = json.loads((run_folder / "metrics.json").read_text())
    for name in ("test/score", "test/iou/circle", "train/seconds"):
        assert [point.value for point in events.Scalars(name)] == pytest.approx([metrics[name]])
    assert [point.value for point in events.Scalars("val/score.max")] == pytest.approx([metrics["val/score"]])
    assert {"val/samples", "test/worst"} <= {*events.Tags()["images"]}
    assert [image.step for image in events.Images("val/samples")] == [2, 5]
    (text,) = events.Tensors("config")
    config = yaml.safe_load(text.tensor_proto.string_val[0])
    assert config.pop("run")["data"] == json.loads((run_folder / "data.json").read_text())
    assert config == yaml.safe_load((run_folder / "config.yaml").read_text())


def test_tensorboard_view__after_a_kill_has_each_step_once(run_folder, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("tensorboard", "images"))
    log = folder / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:4]))
    view = TensorBoardView(folder)
    view.follow()
    view.end(1)
    (file,) = (folder / "tensorboard").iterdir()
    # a kill while the last row is written
    file.write_bytes(file.read_bytes()[:-9])
    log.write_text("".join(lines))
    for _ in range(2):
        view = TensorBoardView(folder)
        view.follow()
        view.complete()
        view.end(0)
    _assert_holds(folder, _read(folder))
    assert len(_read(folder).Tensors("config")) == 1
