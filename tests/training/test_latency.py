import json
import time

import pytest
import torch
from torch import nn

from lightseg.tasks import SegmentationTask
from lightseg.training import latency
from lightseg.training.latency import measure_latency

MILLISECONDS = 10


class Busy(nn.Module):
    """A net that computes for a known time, and waits for a longer one."""

    def __init__(self):
        super().__init__()
        self.last, self.threads = nn.Conv2d(3, 2, 1), set()

    def forward(self, images):
        end = time.thread_time() + MILLISECONDS / 1000
        while time.thread_time() < end:
            pass
        time.sleep(5 * MILLISECONDS / 1000)
        self.threads.add((torch.get_num_threads(), self.training))
        return self.last(images)


def test_latency__is_the_time_of_one_thread_on_the_processor(monkeypatch):
    monkeypatch.setattr(latency, "_SECONDS", 0.0)
    net = Busy()
    task = SegmentationTask(net, ["a", "b"], mean=[0.5] * 3, std=[0.2] * 3).eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        milliseconds = measure_latency(task, torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    # without the wait
    assert MILLISECONDS < milliseconds < 5 * MILLISECONDS
    assert net.threads == {(1, False)}


@pytest.mark.slow
def test_run__measures_it_only_for_a_search(fit, recipe, monkeypatch):
    plain = fit("--config", recipe())
    monkeypatch.setenv("LIGHTSEG_LATENCY", "1")
    measured = fit("--config", recipe())
    assert not (plain.folder / "latency.json").exists()
    record = json.loads((measured.folder / "latency.json").read_text())
    assert (record["input"], record["device"]) == ([3, 32, 32], "cpu")
    assert 0 < record["latency_ms"] < 1000
    measured_metrics, metrics = measured.metrics, plain.metrics
    for name in ("train/seconds", "train/images_per_s"):
        measured_metrics.pop(name, None)
        metrics.pop(name, None)
    assert measured_metrics == metrics
