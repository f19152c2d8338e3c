"""Latency and throughput of exported models."""

from types import SimpleNamespace

import torch

from lightseg.exporting import benchmark
from lightseg.exporting.benchmark import Timing, table


def test_benchmark__times_every_runtime_at_every_size(monkeypatch):
    monkeypatch.setattr(benchmark, "SECONDS", 0.02)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(benchmark, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    shapes = []

    def slow(images):
        shapes.append(tuple(images.shape))
        assert images.dtype == torch.uint8
        clock.now += 0.005
        return images, images

    def fast(images):
        clock.now += 0.001
        return images, images

    timings = benchmark.benchmark({"slow": slow, "fast": fast}, [(8, 16), (4, 4)], 2)
    assert [(timing.runtime, timing.height, timing.width) for timing in timings] == [
        *(("slow", 8, 16), ("fast", 8, 16)),
        *(("slow", 4, 4), ("fast", 4, 4)),
    ]
    assert set(shapes) == {(1, 2, 8, 16), (4, 2, 8, 16), (1, 2, 4, 4), (4, 2, 4, 4)}
    slow_timing, fast_timing = timings[:2]
    assert (slow_timing.latency_ms, fast_timing.latency_ms) == (5, 1)
    assert (slow_timing.frames_per_second, slow_timing.throughput) == (200, 800)
    # 10 at least, and as many as fill the time
    assert slow_timing.calls == 10
    assert fast_timing.calls in (20, 21)


def test_table__a_line_for_each_timing_and_the_conditions(monkeypatch):
    monkeypatch.setattr(
        benchmark, "conditions", lambda: {"device": "CPU, x", "threads": 1, "cores": 2, "throughput": "t"}
    )
    lines = table([Timing("torch", 256, 512, 12.34, 81.04, 100.0, 40), Timing("onnx", 8, 8, 1.0, 1000.0, 2000.0, 30)])
    lines = [line.split() for line in lines.splitlines()]
    assert lines[1] == ["torch", "256", "×", "512", "12.3", "ms", "81.0", "100.0"]
    assert lines[2] == ["onnx", "8", "×", "8", "1.0", "ms", "1000.0", "2000.0"]
    assert " ".join(lines[3]) == "CPU, x, 1 of 2 cores"
    assert " ".join(lines[4]) == "latency: median of 30 calls or more with one image; images/s: t"
