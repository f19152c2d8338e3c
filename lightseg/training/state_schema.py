"""Schema of the state of a training in a checkpoint, as far as a resume reads it."""

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, InstanceOf, TypeAdapter
from torch import Tensor

from lightseg.config.schema import Count, Record


def _require_scalar(value: Tensor) -> Tensor:
    if value.numel() != 1:
        raise ValueError("a single number is expected")
    return value


Scalar = Annotated[InstanceOf[Tensor], AfterValidator(_require_scalar)]


class Counts(Record):
    """Number of repetitions that have begun and are completed."""

    ready: Count
    completed: Count


class Progress(Record):
    """Progress of a loop, in total and since its last start."""

    total: Counts
    current: Counts


class BatchProgress(Progress):
    """Progress of the loop over the batches of an epoch."""

    is_last_batch: bool


class Stepped(Record):
    """State of the loop over batches."""

    batches: Count = Field(alias="_batches_that_stepped")


class FitLoop(Record):
    """State of the loop of the training."""

    epochs: Progress = Field(alias="epoch_progress")
    batches: BatchProgress = Field(alias="epoch_loop.batch_progress")
    schedules: Progress = Field(alias="epoch_loop.scheduler_progress")
    stepped: Stepped = Field(alias="epoch_loop.state_dict")
    optimizer: dict[str, Any] = Field(alias="epoch_loop.automatic_optimization.optim_progress")


class Loops(Record):
    """States of the loops of the trainer."""

    fit_loop: FitLoop


class LastState(Record):
    """State of `LastCheckpoint`."""

    seconds: float
    finished: bool


class BestState(Record):
    """State of `BestCheckpoint`."""

    best_model_score: Scalar | float | None
    best_model_path: str
    dirpath: str | None
    best_k_models: dict[str, Any]
    kth_best_model_path: str
    last_model_path: str


class Callbacks(Record):
    """States of the callbacks of every run; those of a recipe check their states themselves."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, Any]]

    last: LastState = Field(alias="LastCheckpoint")
    best: BestState = Field(alias="Best")


class Origin(Record):
    """Folder and division of steps of the training that wrote the state."""

    folder: str
    batches_per_step: Annotated[int, Field(ge=1)]
    should_stop: bool


class OptimizerState(Record):
    """State of an optimizer."""

    state: dict[Any, Any]
    param_groups: list[dict[str, Any]]


class TrainingState(Record):
    """State of a training between two steps."""

    epoch: Count
    global_step: Count
    version: Annotated[str, Field(pattern=r"^\d+\.\d+")] = Field(alias="pytorch-lightning_version")
    loops: Loops
    callbacks: Callbacks
    optimizer_states: Annotated[list[OptimizerState], Field(min_length=1)]
    lr_schedulers: list[dict[str, Any]]
    made_in: Origin


TRAINING_STATE = TypeAdapter(TrainingState)
