"""Schemas of the recipe in a checkpoint, and of the records of a run folder."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    InstanceOf,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from lightseg.errors import UserError
from lightseg.files.printable import printable_line

_CLASSES, _CHANNELS, _FOLDS, _MEMBERS = 2**15, 2**12, 10_000, 10_000

_TENSORS = 100_000
"""Limit of the tensors of a net."""

MOST_WORKERS = 256
"""Maximum number of loading processes per training process, far above any machine's number of cores."""

MOST_RUNS = 10_000
"""Limit of the runs of a series; more are a mistake, and their plan would fill the memory."""

_SIDE, _PIXELS, _TRANSFORMS = 2**14, 2**26, 32
"""Limits of a side of a transformed image and of its pixels, and of the number of transforms."""

_LIMITS = {
    **dict.fromkeys(("height", "width", "max_size", "max_size_hw", "min_height", "min_width"), _SIDE),
    **dict.fromkeys(("pad_height_divisor", "pad_width_divisor"), _SIDE),
    "tile_grid_size": 256,
}
"""Limits of the options of a transform that its memory grows with."""


def _require_normal(value: float) -> float:
    if value < 2**-126:
        raise ValueError("must be greater than 0")
    return value


Normal = Annotated[FiniteFloat, AfterValidator(_require_normal)]
"""Number by which a float32 can be divided."""
Count = Annotated[int, Field(ge=0, lt=2**53)]


ValueRange = Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]
Band = Annotated[int, Field(ge=1, le=_CHANNELS)]


class _Record(BaseModel):
    """Mapping whose known keys have the right types, without conversion."""

    model_config = ConfigDict(strict=True)


class Spec(_Record):
    """Class and its options."""

    class_path: str
    init_args: dict[str, Any] | None = None


class TaskOptions(_Record):
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


class DataOptions(_Record):
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


class TrainerOptions(_Record):
    """Options of the trainer, as far as they are read again."""

    accelerator: str | None = None
    devices: int | Annotated[str, Field(pattern=r"^(auto|-1|\d+(,\d+)*,?)$")] | list[int] | None = None
    num_nodes: Annotated[int, Field(ge=1)] | None = None
    accumulate_grad_batches: Annotated[int, Field(ge=1)] | None = None
    precision: int | str | None = None


class MLflowOptions(_Record):
    """Options of the MLflow logger."""

    experiment: str | None = None
    tracking_uri: str | None = None
    tags: dict[str, str] | None = None


class RunConfig(_Record):
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


class Resolved(_Record):
    """Options that were set from the data."""

    model_config = ConfigDict(strict=True, extra="forbid")

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


class ImageValuesRecord(_Record):
    """Bands, range and nodata value of the images, as a net was trained on them."""

    model_config = ConfigDict(strict=True, extra="forbid")

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


class SharedWeightsRecord(_Record):
    """File that has the weights which a checkpoint leaves out, and their names."""

    model_config = ConfigDict(strict=True, extra="forbid")

    file: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    tensors: Annotated[list[str], Field(max_length=_TENSORS)]


class OriginRecord(_Record):
    """Trained model from whose weights a run started, or from which it learned."""

    run: str
    file: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    score: FiniteFloat | None
    classes: Annotated[list[str], Field(max_length=_CLASSES)]


class ExtendedRecord(OriginRecord):
    """Run from whose last state a run went on, likewise."""

    epoch: Count
    step: Count


class LoraRecord(_Record):
    """Adapters that are merged into the weights of their layers."""

    rank: Annotated[int, Field(ge=1)]
    alpha: FiniteFloat
    targets: Annotated[list[str], Field(max_length=_TENSORS)]


class Lineage(_Record):
    """Origins of the weights in a file: that of `model.init`, the run that was extended, and merged adapters."""

    init: OriginRecord | None = None
    extend: ExtendedRecord | None = None
    lora: LoraRecord | None = None


class Recipe(_Record):
    """Recipe in a checkpoint, so that it can be loaded without other files."""

    format_version: int
    config: Config
    classes: Annotated[list[str], Field(min_length=1, max_length=_CLASSES)]
    in_channels: Annotated[int, Field(ge=1, le=_CHANNELS)]
    palette: list[tuple[Annotated[int, Field(ge=0, le=255)], ...] | list[Annotated[int, Field(ge=0, le=255)]]]
    resolved: Resolved
    image_values: Annotated[ImageValuesRecord, BeforeValidator(_to_mapping)] | None = None
    shared: SharedWeightsRecord | None = None
    mask_colors: list[Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=4, max_length=4)]] = []
    lineage: Lineage | None = None
    teacher: Annotated[list[OriginRecord], Field(max_length=_MEMBERS)] = []

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


class Environment(_Record):
    """`env.json` of a run folder."""

    packages: dict[str, str | None] = {}
    gpus: list[str] = []
    import_path: list[str] = []
    time: FiniteFloat | None = None
    job: str | None = None
    torch_threads: Count | None = None
    cpu_capability: str | None = None
    onednn_max_cpu_isa: str | None = None


class TeacherRecord(_Record):
    """Teacher of a run, in its `model.json`."""

    members: Annotated[list[OriginRecord], Field(min_length=1, max_length=_MEMBERS)]
    parameters: Count
    gflops: FiniteFloat


class Cost(_Record):
    """`model.json` of a run folder."""

    parameters: Count | None = None
    gflops: FiniteFloat | None = None
    input: Annotated[list[Count], Field(min_length=3, max_length=3)] | None = None
    dtype: str | None = None
    init: OriginRecord | None = None
    extend: ExtendedRecord | None = None
    teacher: TeacherRecord | None = None


class SplitRecord(_Record):
    """Split in `data.json` of a run folder."""

    samples: Count
    sha256: str | None = None


class MemberRecord(_Record):
    """Member of an evaluated ensemble."""

    run: str | None
    checkpoint: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class EnsembleRecord(_Record):
    """`ensemble.json` of a folder of the evaluation of an ensemble."""

    members: Annotated[list[MemberRecord], Field(min_length=2, max_length=_MEMBERS)]


class GitState(_Record):
    """`git.json` of a run folder."""

    commit: str | None = None
    dirty: bool | None = None
    untracked: list[str] | None = None


class PlanRecord(_Record):
    """`plan.json` of a series of runs."""

    model_config = ConfigDict(strict=True, extra="forbid")

    arguments: list[str]
    recipe: str
    group: str
    cores: Annotated[int, Field(ge=1)] | None
    runs: Annotated[list[Annotated[dict[str, str], Field(min_length=1)]], Field(min_length=1, max_length=MOST_RUNS)]


class CalibrationRecord(_Record):
    """`calibration.json` of a run folder, as far as it is read again."""

    sha256: str
    temperature: Normal


class ExampleRecord(_Record):
    """Example image in `examples.json`; the classes are those of a whole image."""

    name: str
    truth: Count | list[Count] | None = None
    prediction: Count | list[Count] | None = None


class Examples(_Record):
    """`examples.json` of a folder of example images."""

    classes: list[str]
    multilabel: bool = False
    examples: list[ExampleRecord]


class InputRecord(_Record):
    """Identity of a predicted image."""

    # pydantic's own texts cannot hold the names of files that are not UTF-8
    file: InstanceOf[str]
    page: Count | None
    bytes: Count
    mtime_ns: int
    ctime_ns: int


class PredictionRecord(_Record):
    """Line of `predictions.jsonl`."""

    name: InstanceOf[str]
    input: InputRecord


class LabelRecord(PredictionRecord):
    """Line of `predictions.jsonl` of a classification."""

    label: Annotated[Count, Field(alias="class")]
    probabilities: list[FiniteFloat]


class LabelsRecord(PredictionRecord):
    """Line of `predictions.jsonl` of a classification whose classes may overlap."""

    labels: list[Annotated[int, Field(ge=0, le=1)]]
    probabilities: list[FiniteFloat]


class ParityRecord(_Record):
    """Agreement of an exported file with torch."""

    images: Count
    max_difference: float
    agreement: float
    score: float | None
    loss: float


class OddSizeParityRecord(ParityRecord):
    """Agreement on images of an odd size."""

    size: Annotated[list[Count], Field(min_length=2, max_length=2)]


class Int8ParityRecord(ParityRecord):
    """Agreement of a quantized file with torch."""

    file: str


class TimingRecord(_Record):
    """Row of a benchmark."""

    runtime: str
    height: Count
    width: Count
    latency_ms: float
    frames_per_second: float
    throughput: float


class Benchmark(_Record):
    """Benchmark of an exported file."""

    device: str
    threads: Count
    throughput: str
    timings: list[TimingRecord]


class Exported(ParityRecord):
    """Exported file in `parity.json`."""

    checkpoint: dict[str, str]
    checked_on: str
    size: Literal["any"] | Annotated[list[Count], Field(min_length=2, max_length=2)]
    smallest: Annotated[list[Count], Field(min_length=2, max_length=2)]
    odd_size: OddSizeParityRecord | None = None
    int8: Int8ParityRecord | None = None
    benchmark: Benchmark | None = None


class LatencyRecord(_Record):
    """Latency of the net of a trial."""

    latency_ms: Annotated[FiniteFloat, Field(gt=0)]


class Facts(_Record):
    """Facts of `per_image_SPLIT.npz`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    kind: Literal["segmentation", "classification", "multilabel_segmentation", "multilabel_classification"]
    split: str
    data: str
    protocol: str


RECORDS: dict[str, TypeAdapter[Any]] = {
    "config.yaml": TypeAdapter(RunConfig),
    "metrics.json": TypeAdapter(dict[str, FiniteFloat | None]),
    "env.json": TypeAdapter(Environment),
    "model.json": TypeAdapter(Cost),
    "data.json": TypeAdapter(dict[str, SplitRecord]),
    "ensemble.json": TypeAdapter(EnsembleRecord),
    "git.json": TypeAdapter(GitState),
    "latency.json": TypeAdapter(LatencyRecord),
    "plan.json": TypeAdapter(PlanRecord),
    "calibration.json": TypeAdapter(CalibrationRecord),
    "examples.json": TypeAdapter(Examples),
    "parity.json": TypeAdapter(dict[str, Exported]),
}
"""Schema of each record of a run folder, by file name."""

RECIPE, FACTS, TEMPERATURE = TypeAdapter(Recipe), TypeAdapter(Facts), TypeAdapter(Normal)
MLFLOW = TypeAdapter(MLflowOptions)


PREDICTIONS: dict[str, TypeAdapter[Any]] = {
    "segmentation": TypeAdapter(PredictionRecord),
    "classification": TypeAdapter(LabelRecord),
    "multilabel_segmentation": TypeAdapter(PredictionRecord),
    "multilabel_classification": TypeAdapter(LabelsRecord),
}
"""Schema of a line of `predictions.jsonl`, by kind of the scores of the task."""


def require_form(form: TypeAdapter[Any], content: Any, file: Path | str, key: str = "") -> None:
    """Check that the content of a file fits a schema.

    Args:
        form: The schema.
        content: Plain data, as `plain` returns it.
        file: The file, for the message.
        key: The key of the content in the file.

    Raises:
        UserError: If not; the message has the file, the key, the value and the expected one.
    """
    try:
        form.validate_python(content)
    except ValidationError as error:
        path, reason = describe_violation(error)
        place = ".".join([key, *path] if key else path)
        raise UserError(f"{file}: is damaged ({place}{': ' * bool(place)}{reason}); bring it back") from None


def describe_violation(error: ValidationError) -> tuple[list[str], str]:
    """Return the keys that lead to the first value that does not fit a schema, and the reason with the value."""
    first = error.errors(include_url=False)[0]
    # the names of the branches of a union are not part of the key
    path = [str(part) for part in first["loc"] if not str(part).startswith(("function-", "list[", "constrained-"))]
    value = "" if isinstance(first["input"], dict) else f", got {printable_line(repr(first['input']))[:60]}"
    return path, first["msg"].removeprefix("Value error, ") + value


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
