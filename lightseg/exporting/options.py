"""Options and result of an export."""

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
"""What each format may write; the first of them always."""

PARITY, CARD = "parity.json", "README.md"

CALIBRATION = 32
"""How many training images, at most, the ranges of a quantised net are measured on."""

SIZES = ((256, 256), (512, 512))
"""Heights and widths that are timed if none are given."""


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        run: The run folder, of which the best checkpoint is meant.
        out: Where the files go.
        format: Of the file.
        images: How many validation images it is checked on; 0: on random ones.
        tolerance: The largest difference of a probability that is let pass; safetensors must be equal to the last bit.
        int8: Whether to quantise, too.
        benchmark: Whether to time it.
        sizes: Heights and widths to time it at; none: `SIZES`, or the only one that its net takes.
        licence: Licence of the weights.
        data: Options of a command line that change the data, such as `--data.root OTHER`.
        trust: Run the classes of others that the run names, see `lightseg.load`.
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
    """Result of an export.

    Attributes:
        files: In the order in which a reader may want them.
        size: Height and width that the file takes; None for any.
        smallest: The least that it takes.
        before: What a graph leaves to be done to images first.
        source: What it was checked on.
        parity: How far it is from torch.
        odd: The same for images of `ODD`; None where the size is fixed.
        int8: How far the quantised file is.
        calibrated_on: How many training images its ranges were measured on.
        timings: What `--benchmark` has measured; empty without it.
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
        """Everything as plain data, for `parity.json`."""
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


def taken(size: Sequence[int] | Literal["any"], smallest: Sequence[int]) -> str:
    """Return the images that a file takes, in words; the arguments are those of `parity.json`."""
    if size != "any":
        return f"images of {size[0]} × {size[1]} pixels (height × width) only"
    return "images of any size" + (f" from {smallest[0]} × {smallest[1]} pixels on" if max(smallest) > 1 else "")


def described_files(folder: Path) -> list[str]:
    """Return the names of the files that the model card in a folder is about; others there are of other weights.

    Raises:
        UserError: If `parity.json` is damaged.
    """
    records = read_record(folder / PARITY)
    return [CARD, PARITY, *(name for names in FILES.values() if names[0] in records for name in names)]
