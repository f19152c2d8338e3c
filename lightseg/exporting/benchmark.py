"""Latency and throughput of exported models."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from lightseg.exporting.formats import Predict
from lightseg.hardware.cpu import processor_name, usable_cores

WARM_UP, LEAST, SECONDS, BATCH = 2, 10, 2.0, 4
"""Calls before the timing starts; least number of timed calls; least total seconds; batch size for throughput."""


@dataclass(frozen=True)
class Timing:
    """Times of one runtime at one image size.

    Attributes:
        runtime: Its name, such as `onnx int8`.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        latency_ms: Median time of a call with one image, in milliseconds.
        frames_per_second: Inverse of the latency.
        throughput: Images per second in batches of `BATCH`.
        calls: Number of calls with one image that the median is of.
    """

    runtime: str
    height: int
    width: int
    latency_ms: float
    frames_per_second: float
    throughput: float
    calls: int


def benchmark(runtimes: Mapping[str, Predict], sizes: Sequence[tuple[int, int]], channels: int) -> list[Timing]:
    """Time every runtime at every size, from bytes in memory to probabilities and classes.

    Args:
        runtimes: Prediction functions by name.
        sizes: Heights and widths of the images.
        channels: Channels of the images.
    """
    timings = []
    for height, width in sizes:
        images = torch.randint(0, 256, (BATCH, channels, height, width), dtype=torch.uint8)
        for name, predict in runtimes.items():
            single_seconds, batch_seconds = _call_seconds(predict, images[:1]), _call_seconds(predict, images)
            median = statistics.median(single_seconds)
            timings.append(
                Timing(
                    name,
                    height,
                    width,
                    round(1000 * median, 3),
                    round(1 / median, 2),
                    round(BATCH / statistics.median(batch_seconds), 2),
                    len(single_seconds),
                )
            )
    return timings


def conditions() -> dict[str, object]:
    """Return the hardware and the measures that the times are of, as plain data."""
    return {
        "device": f"CPU, {processor_name()}",
        "threads": torch.get_num_threads(),
        "cores": usable_cores(),
        "latency": "median of calls with one image",
        "throughput": f"batches of {BATCH}",
    }


def table(timings: Sequence[Timing]) -> str:
    """Return the times and their conditions as text."""
    setup = conditions()
    lines = [f"{'runtime':<14}{'height × width':>16}{'latency':>12}{'frames/s':>10}{'images/s':>10}"]
    for timing in timings:
        size = f"{timing.height} × {timing.width}"
        latency = f"{timing.latency_ms:.1f} ms"
        lines.append(
            f"{timing.runtime:<14}{size:>16}{latency:>12}{timing.frames_per_second:>10.1f}{timing.throughput:>10.1f}"
        )
    calls = min(timing.calls for timing in timings)
    lines.append(f"{setup['device']}, {setup['threads']} of {setup['cores']} core{'s' * (setup['cores'] != 1)}")
    lines.append(f"latency: median of {calls} calls or more with one image; images/s: {setup['throughput']}")
    return "\n".join(lines)


def _call_seconds(predict: Predict, images: torch.Tensor) -> list[float]:
    """Return the seconds of each timed call."""
    for _ in range(WARM_UP):
        predict(images)
    seconds: list[float] = []
    while len(seconds) < LEAST or sum(seconds) < SECONDS:
        start = time.perf_counter()
        predict(images)
        seconds.append(time.perf_counter() - start)
    return seconds
