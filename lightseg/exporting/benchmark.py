"""Benchmark of exported models: the time of one image."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from lightseg.exporting.formats import Predict
from lightseg.hardware.cpu import processor_name, usable_cores

WARM_UP, LEAST, SECONDS, BATCH = 2, 10, 2.0, 4
"""Calls that do not count; calls that do at least, and for at least how long; images of the batch for throughput."""


@dataclass(frozen=True)
class Timing:
    """Timing of one runtime at one size.

    Attributes:
        runtime: Such as `onnx int8`.
        height: Of the image, in pixels.
        width: Likewise.
        latency_ms: Median time of a call with one image, milliseconds.
        frames_per_second: Its inverse: what one camera can have.
        throughput: Images per second in batches of `BATCH`.
        calls: How many calls with one image the median is of.
    """

    runtime: str
    height: int
    width: int
    latency_ms: float
    frames_per_second: float
    throughput: float
    calls: int


def benchmark(runtimes: Mapping[str, Predict], sizes: Sequence[tuple[int, int]], channels: int) -> list[Timing]:
    """Time every runtime at every size, from bytes in memory to probabilities and classes."""
    timings = []
    for height, width in sizes:
        images = torch.randint(0, 256, (BATCH, channels, height, width), dtype=torch.uint8)
        for name, predict in runtimes.items():
            alone, together = _seconds(predict, images[:1]), _seconds(predict, images)
            median = statistics.median(alone)
            timings.append(
                Timing(
                    name,
                    height,
                    width,
                    round(1000 * median, 3),
                    round(1 / median, 2),
                    round(BATCH / statistics.median(together), 2),
                    len(alone),
                )
            )
    return timings


def conditions() -> dict[str, object]:
    """Return what the times hold for."""
    return {
        "device": f"CPU, {processor_name()}",
        "threads": torch.get_num_threads(),
        "cores": usable_cores(),
        "latency": "median of calls with one image",
        "throughput": f"batches of {BATCH}",
    }


def table(timings: Sequence[Timing]) -> str:
    """Return the times as text, with what they hold for."""
    machine = conditions()
    lines = [f"{'runtime':<14}{'height × width':>16}{'latency':>12}{'frames/s':>10}{'images/s':>10}"]
    for timing in timings:
        size = f"{timing.height} × {timing.width}"
        latency = f"{timing.latency_ms:.1f} ms"
        lines.append(
            f"{timing.runtime:<14}{size:>16}{latency:>12}{timing.frames_per_second:>10.1f}{timing.throughput:>10.1f}"
        )
    calls = min(timing.calls for timing in timings)
    lines.append(f"{machine['device']}, {machine['threads']} of {machine['cores']} cores")
    lines.append(f"latency: median of {calls} calls or more with one image; images/s: {machine['throughput']}")
    return "\n".join(lines)


def _seconds(predict: Predict, images: torch.Tensor) -> list[float]:
    for _ in range(WARM_UP):
        predict(images)
    seconds: list[float] = []
    while len(seconds) < LEAST or sum(seconds) < SECONDS:
        start = time.perf_counter()
        predict(images)
        seconds.append(time.perf_counter() - start)
    return seconds
