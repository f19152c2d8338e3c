"""Options and results of an export."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lightseg.exporting.benchmark import Timing, conditions
from lightseg.exporting.formats import INT8, ONNX, TORCH_EXPORT
from lightseg.exporting.parity import AGREEMENT, ODD, SCORE, Parity
from lightseg.files.names import WEIGHTS, WEIGHTS_CONFIG
from lightseg.runs.records import read_record

Format = Literal["onnx", "torch_export", "safetensors"]
FILES: dict[Format, tuple[str, ...]] = {
    "onnx": (ONNX, INT8),
    "torch_export": (TORCH_EXPORT,),
    "safetensors": (WEIGHTS, WEIGHTS_CONFIG),
}
"""Files that each format may write; the first is always written."""

PARITY, CARD = "parity.json", "README.md"

CALIBRATION = 32
"""Largest number of training images for measuring the ranges of a quantized net."""

SIZES = ((256, 256), (512, 512))
"""Default heights and widths for the benchmark."""


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        run: The run folder, whose best checkpoint is exported.
        out: Folder for the files.
        format: Format of the file.
        images: Number of validation images for the parity check; 0 for random images.
        tolerance: Largest accepted difference of a probability; safetensors must be bit-identical.
        int8: Whether to write a quantized file, too.
        benchmark: Whether to time the files.
        sizes: Heights and widths to time; empty for `SIZES`, or the only size that the net accepts.
        licence: Licence of the weights.
        data: Command-line options that change the data, such as `--data.root OTHER`.
        trust: Also run custom classes that the run names, as in `lightseg.load`.
    """

    run: Path
    out: Path
    format: Format = "onnx"
    images: int = 20
    tolerance: float = 1e-3
    int8: bool = False
    benchmark: bool = False
    sizes: Sequence[tuple[int, int]] = ()
    licence: str | None = None
    data: Sequence[str] = ()
    trust: bool = False


@dataclass(frozen=True)
class ExportResult:
    """Files and checks of an export.

    Attributes:
        files: The files, the exported model first.
        size: Height and width that the file accepts; None for any.
        smallest: Least height and width that it accepts.
        before: Transforms that are not in the graph, to be applied to images first.
        source: Images of the parity check, such as `validation images`.
        parity: Parity of the file with torch.
        odd: Parity on images of the size `ODD`; None if the size is fixed.
        int8: Parity of the quantized file with torch; None without it.
        calibrated_on: Number of training images for its ranges.
        timings: Times of `--benchmark`; empty without it.
    """

    files: list[Path]
    size: tuple[int, int] | None
    smallest: tuple[int, int]
    before: list[str]
    source: str
    parity: Parity
    odd: Parity | None
    int8: Parity | None
    calibrated_on: int
    timings: list[Timing]

    def record(self, tolerance: float) -> dict[str, Any]:
        """Return the result as plain data, for `parity.json`."""
        record: dict[str, Any] = {
            "checked_on": self.source,
            "size": self.size or "any",
            "smallest": self.smallest,
            "tolerance": {"probabilities": tolerance, "agreement": AGREEMENT, "score": SCORE},
            **self.parity.record(),
        }
        if self.odd:
            record["odd_size"] = {"size": ODD, **self.odd.record()}
        if self.int8:
            calibrated_on = f"{self.calibrated_on} training images"
            record["int8"] = {"file": INT8, "calibrated_on": calibrated_on, **self.int8.record()}
        if self.timings:
            record["benchmark"] = {**conditions(), "timings": [asdict(timing) for timing in self.timings]}
        return record


def describe_sizes(size: Sequence[int] | Literal["any"], smallest: Sequence[int]) -> str:
    """Describe the image sizes that a file accepts.

    Args:
        size: The only height and width, or `any`.
        smallest: Least height and width.
    """
    if size != "any":
        return f"images of {size[0]} × {size[1]} pixels (height × width) only"
    return "images of any size" + (f" from {smallest[0]} × {smallest[1]} pixels on" if max(smallest) > 1 else "")


def described_files(folder: Path) -> list[str]:
    """Return the names of the files that the model card in a folder describes; other files are of other weights.

    Raises:
        UserError: If `parity.json` is damaged.
    """
    records = read_record(folder / PARITY)
    return [CARD, PARITY, *(name for names in FILES.values() if names[0] in records for name in names)]
