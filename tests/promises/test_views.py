"""MLflow and TensorBoard with a run that is killed and resumed."""

import json
import signal

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytestmark = [pytest.mark.slow]

OVERLAY = """
trainer:
  logger:
    - {class_path: TensorBoard}
    - {class_path: MLflow, init_args: {tracking_uri: STORE}}
"""


def test_views__killed_and_resumed_each_step_is_there_once(crashing_recipe, recipe, launch, tmp_path, monkeypatch):
    overlay = recipe(OVERLAY.replace("STORE", str(tmp_path / "store")), "views.yaml")
    environment = {"CRASH": "on_train_batch_end:9", "CRASH_BY": "kill"}
    killed = launch("--config", crashing_recipe, "--config", overlay, **environment)
    assert killed.wait() == -signal.SIGKILL
    (folder,) = tmp_path.glob("runs/crashing/*")
    resumed = launch("--resume", folder, CRASH="")
    assert resumed.wait() == 0, resumed.stderr.read()
    numbers = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        line = json.loads(line)
        step = line.pop("step")
        for name, value in line.items():
            if value is not None and name != "train/images_per_s":
                numbers.setdefault(name, {})[step] = value
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    assert len([*(folder / "tensorboard").iterdir()]) == 2
    histories = {name: [(point.step, point.value) for point in events.Scalars(name)] for name in numbers}
    _assert_each_once(histories, numbers)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    record = json.loads((folder / "mlflow.json").read_text())
    client = MlflowClient(tracking_uri=record["tracking_uri"])
    (run,) = client.search_runs([client.get_experiment_by_name("lightseg").experiment_id])
    assert (run.info.run_id, run.info.status) == (record["run_id"], "FINISHED")
    points = {name: client.get_metric_history(run.info.run_id, name) for name in numbers}
    histories = {name: sorted((point.step, point.value) for point in history) for name, history in points.items()}
    _assert_each_once(histories, numbers)


def _assert_each_once(histories, numbers):
    for name, history in histories.items():
        assert [step for step, _ in history] == sorted(numbers[name]), name
        assert dict(history) == pytest.approx(numbers[name]), name
