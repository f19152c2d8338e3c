"""Schema of the recipe in a checkpoint."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, FiniteFloat, TypeAdapter, model_validator

from lightseg.config.schema import ClosedRecord, Count, Digest, Normal, Record

MOST_MEMBERS = 10_000
"""Limit of the models of an ensemble."""

MOST_WORKERS = 256
"""Maximum number of loading processes per training process, far above any machine's number of cores."""

_CLASSES, _CHANNELS, _FOLDS = 2**15, 2**12, 10_000

_TENSORS = 100_000
"""Limit of the tensors of a net."""

_SIDE, _PIXELS, _TRANSFORMS = 2**14, 2**26, 32
"""Limits of a side of a transformed image and of its pixels, and of the number of transforms."""

_LIMITS = {
    **dict.fromkeys(("height", "width", "max_size", "max_size_hw", "min_height", "min_width"), _SIDE),
    **dict.fromkeys(("pad_height_divisor", "pad_width_divisor"), _SIDE),
    "tile_grid_size": 256,
}
"""Limits of the options of a transform that its memory grows with."""

ValueRange = Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]
Band = Annotated[int, Field(ge=1, le=_CHANNELS)]
Byte = Annotated[int, Field(ge=0, le=255)]


class Spec(Record):
    """Class and its options."""

    class_path: str
    init_args: dict[str, Any] | None = None


class TaskOptions(Record):
    """Options of a task, as far as a rebuild needs them."""

    net: Spec
    lora: dict[str, Any] | None = None


class TaskSpec(Spec):
    """Task and its options."""

    init_args: TaskOptions  # type: ignore[assignment]


class TransformSpec(Spec):
    """Transform to images of limited size."""

    @model_validator(mode="after")
    def _is_small(self) -> "TransformSpec":
        _require_small(self.init_args)
        return self


class DataOptions(Record):
    """Options of a data module, as far as an evaluation reads them."""

    batch_size: Annotated[FiniteFloat, Field(ge=1, lt=2**31)] | None = None
    num_workers: Annotated[int, Field(ge=0, le=MOST_WORKERS)] | None = None
    eval_transforms: Annotated[list[TransformSpec], Field(max_length=_TRANSFORMS)] | None = None
    value_range: ValueRange | Annotated[list[ValueRange], Field(max_length=_CHANNELS)] | Literal["auto"] | None = None
    nodata: float | None = None
    bands: Annotated[list[Band], Field(min_length=1, max_length=_CHANNELS)] | None = None
    fold: Annotated[int, Field(ge=0, lt=_FOLDS)] | None = None
    folds: Annotated[int, Field(ge=0, le=_FOLDS)] | None = None


class DataSpec(Spec):
    """Data module and its options."""

    init_args: DataOptions | None = None  # type: ignore[assignment]


class TrainerOptions(Record):
    """Options of the trainer, as far as they are read again."""

    accelerator: str | None = None
    devices: int | Annotated[str, Field(pattern=r"^(auto|-1|\d+(,\d+)*,?)$")] | list[int] | None = None
    num_nodes: Annotated[int, Field(ge=1)] | None = None
    accumulate_grad_batches: Annotated[int, Field(ge=1)] | None = None
    precision: int | str | None = None


class MLflowOptions(Record):
    """Options of the MLflow logger."""

    experiment: str | None = None
    tracking_uri: str | None = None
    tags: dict[str, str] | None = None


class RunConfig(Record):
    """Resolved config of a run, as far as it is read again."""

    model: Spec | None = None
    data: DataSpec | None = None
    trainer: TrainerOptions | None = None
    seed_everything: Count | None = None
    name: str | None = None
    group: str | None = None


class Config(RunConfig):
    """Resolved config in a checkpoint, from which the task is built."""

    model: TaskSpec


class Resolved(ClosedRecord):
    """Options that were set from the data."""

    mean: list[FiniteFloat] | None = None
    std: list[Normal] | None = None
    class_weights: list[FiniteFloat] | str | None = None
    positive_weights: list[FiniteFloat] | str | None = None
    thresholds: list[FiniteFloat] | None = None
    prior_bias: bool = False


def _to_mapping(record: object) -> object:
    """Return image values in the form of version 0.1, least value, greatest value and nodata value, as a mapping."""
    if not isinstance(record, list) or len(record) != 3:
        return record
    low, high, nodata = record
    return {"nodata": nodata} | ({} if high is None and low is not None else {"ranges": [[low, high]]})


class ImageValuesRecord(ClosedRecord):
    """Bands, range and nodata value of the images, as a net was trained on them."""

    ranges: Annotated[list[ValueRange], Field(min_length=1, max_length=_CHANNELS)] | None = None
    # it may be NaN
    nodata: float | None = None
    bands: Annotated[list[Band], Field(min_length=1, max_length=_CHANNELS)] | None = None
    fill: list[Annotated[FiniteFloat, Field(ge=0, le=1)]] | None = None

    @model_validator(mode="after")
    def _rises(self) -> "ImageValuesRecord":
        if any(low >= high for low, high in self.ranges or []):
            raise ValueError("the least value comes first, and is less than the greatest")
        return self

    def require_fit(self, channels: int) -> None:
        """Check that there are values for each channel.

        Raises:
            ValueError: If not.
        """
        for name, allowed in (("ranges", {1, channels}), ("bands", {channels}), ("fill", {channels})):
            values = getattr(self, name)
            if values is not None and len(values) not in allowed:
                raise ValueError(f"image_values.{name}: one for each of {channels} channels is expected")


class SharedWeightsRecord(ClosedRecord):
    """File that has the weights which a checkpoint leaves out, and their names."""

    file: str
    sha256: Digest
    tensors: Annotated[list[str], Field(max_length=_TENSORS)]


class OriginRecord(Record):
    """Trained model from whose weights a run started, or from which it learned."""

    run: str
    file: str
    sha256: Digest
    score: FiniteFloat | None
    classes: Annotated[list[str], Field(max_length=_CLASSES)]


class ExtendedRecord(OriginRecord):
    """Run from whose last state a run went on, likewise."""

    epoch: Count
    step: Count


class LoraRecord(Record):
    """Adapters that are merged into the weights of their layers."""

    rank: Annotated[int, Field(ge=1)]
    alpha: FiniteFloat
    targets: Annotated[list[str], Field(max_length=_TENSORS)]


class Lineage(Record):
    """Origins of the weights in a file: that of `model.init`, the run that was extended, and merged adapters."""

    init: OriginRecord | None = None
    extend: ExtendedRecord | None = None
    lora: LoraRecord | None = None


class Recipe(Record):
    """Recipe in a checkpoint, so that it can be loaded without other files."""

    format_version: int
    config: Config
    classes: Annotated[list[str], Field(min_length=1, max_length=_CLASSES)]
    in_channels: Annotated[int, Field(ge=1, le=_CHANNELS)]
    palette: list[tuple[Byte, ...] | list[Byte]]
    resolved: Resolved
    image_values: Annotated[ImageValuesRecord, BeforeValidator(_to_mapping)] | None = None
    shared: SharedWeightsRecord | None = None
    mask_colors: list[Annotated[list[Byte], Field(min_length=4, max_length=4)]] = Field(default_factory=list)
    lineage: Lineage | None = None
    teacher: Annotated[list[OriginRecord], Field(max_length=MOST_MEMBERS)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _agree(self) -> "Recipe":
        if len(self.palette) != len(self.classes) or any(len(color) != 3 for color in self.palette):
            raise ValueError(f"palette: one RGB colour for each of {len(self.classes)} classes is expected")
        if self.image_values is not None:
            self.image_values.require_fit(self.in_channels)
        for name in ("mean", "std"):
            values = getattr(self.resolved, name)
            if values is not None and len(values) != self.in_channels:
                raise ValueError(f"resolved.{name}: one number for each of {self.in_channels} channels is expected")
        return self


RECIPE, TEMPERATURE = TypeAdapter(Recipe), TypeAdapter(Normal)
MLFLOW = TypeAdapter(MLflowOptions)


def _require_small(options: Any) -> None:
    """Check the options of a transform, and of those in it, against the limits of sizes.

    Raises:
        ValueError: If one is larger, or is no number.
    """
    if isinstance(options, dict):
        for name, value in options.items():
            if name in _LIMITS and any(not number <= _LIMITS[name] for number in _numbers(value)):
                raise ValueError(f"{name} is a number up to {_LIMITS[name]}")
            _require_small(value)
        for pair in (("height", "width"), ("min_height", "min_width")):
            if math.prod(number for name in pair for number in _numbers(options.get(name, 1))) > _PIXELS:
                raise ValueError(f"an image has up to {_PIXELS} pixels")
    elif isinstance(options, list):
        for item in options:
            _require_small(item)


def _numbers(value: Any) -> Iterator[float]:
    """Yield the numbers of an option, at any depth; infinity for a value that is not a number."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)
    elif value is not None:
        yield value if isinstance(value, int | float) else math.inf
