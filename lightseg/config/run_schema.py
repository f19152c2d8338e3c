"""Schemas of the records of a run folder."""

from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, InstanceOf, TypeAdapter

from lightseg.config.recipe_schema import MOST_MEMBERS, ExtendedRecord, OriginRecord, RunConfig
from lightseg.config.schema import ClosedRecord, Count, Digest, Normal, Record

MOST_RUNS = 10_000
"""Limit of the runs of a series; more are a mistake, and their plan would fill the memory."""


class Environment(Record):
    """`env.json` of a run folder."""

    packages: dict[str, str | None] = Field(default_factory=dict)
    gpus: list[str] = Field(default_factory=list)
    import_path: list[str] = Field(default_factory=list)
    time: FiniteFloat | None = None
    job: str | None = None
    torch_threads: Count | None = None
    cpu_capability: str | None = None
    onednn_max_cpu_isa: str | None = None


class TeacherRecord(Record):
    """Teacher of a run, in its `model.json`."""

    members: Annotated[list[OriginRecord], Field(min_length=1, max_length=MOST_MEMBERS)]
    parameters: Count
    gflops: FiniteFloat


class Cost(Record):
    """`model.json` of a run folder."""

    parameters: Count | None = None
    gflops: FiniteFloat | None = None
    input: Annotated[list[Count], Field(min_length=3, max_length=3)] | None = None
    dtype: str | None = None
    init: OriginRecord | None = None
    extend: ExtendedRecord | None = None
    teacher: TeacherRecord | None = None


class SplitRecord(Record):
    """Split in `data.json` of a run folder."""

    samples: Count
    sha256: str | None = None


class MemberRecord(Record):
    """Member of an evaluated ensemble."""

    run: str | None
    checkpoint: str
    sha256: Digest


class EnsembleRecord(Record):
    """`ensemble.json` of a folder of the evaluation of an ensemble."""

    members: Annotated[list[MemberRecord], Field(min_length=2, max_length=MOST_MEMBERS)]


class GitState(Record):
    """`git.json` of a run folder."""

    commit: str | None = None
    dirty: bool | None = None
    untracked: list[str] | None = None


class PlanRecord(ClosedRecord):
    """`plan.json` of a series of runs."""

    arguments: list[str]
    recipe: str
    group: str
    cores: Annotated[int, Field(ge=1)] | None
    runs: Annotated[list[Annotated[dict[str, str], Field(min_length=1)]], Field(min_length=1, max_length=MOST_RUNS)]


class CalibrationRecord(Record):
    """`calibration.json` of a run folder, as far as it is read again."""

    sha256: str
    temperature: Normal


class ExampleRecord(Record):
    """Example image in `examples.json`; the classes are those of a whole image."""

    name: str
    truth: Count | list[Count] | None = None
    prediction: Count | list[Count] | None = None


class Examples(Record):
    """`examples.json` of a folder of example images."""

    classes: list[str]
    multilabel: bool = False
    examples: list[ExampleRecord]


class InputRecord(Record):
    """Identity of a predicted image."""

    # pydantic's own texts cannot hold the names of files that are not UTF-8
    file: InstanceOf[str]
    page: Count | None
    bytes: Count
    mtime_ns: int
    ctime_ns: int


class PredictionRecord(Record):
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


class ParityRecord(Record):
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


class TimingRecord(Record):
    """Row of a benchmark."""

    runtime: str
    height: Count
    width: Count
    latency_ms: float
    frames_per_second: float
    throughput: float


class Benchmark(Record):
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


class LatencyRecord(Record):
    """Latency of the net of a trial."""

    latency_ms: Annotated[FiniteFloat, Field(gt=0)]


class Facts(ClosedRecord):
    """Facts of `per_image_SPLIT.npz`."""

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

FACTS = TypeAdapter(Facts)

PREDICTIONS: dict[str, TypeAdapter[Any]] = {
    "segmentation": TypeAdapter(PredictionRecord),
    "classification": TypeAdapter(LabelRecord),
    "multilabel_segmentation": TypeAdapter(PredictionRecord),
    "multilabel_classification": TypeAdapter(LabelsRecord),
}
"""Schema of a line of `predictions.jsonl`, by kind of the scores of the task."""
