"""Settings of a search, `study.yaml`: space, trials, sampler, pruner and objectives."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lightseg.config.compose import read, show
from lightseg.config.run_schema import MOST_RUNS
from lightseg.config.schema import describe_violation
from lightseg.errors import ConfigError, did_you_mean, require

_MOST_SEEDS = 100

_EXAMPLES = {
    "space": "keys with their values, as in {model.optimizer.lr: {low: 1e-4, high: 1e-2, log: true}}",
    "trials": "the number of trials, as in trials: 20",
}


def split_names(value: Any) -> Any:
    """Return the names in a text, which are separated by commas; other values are returned unchanged."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


class Study(BaseModel):
    """Settings of a search.

    Attributes:
        space: Values of each key: a list, or a mapping with `low`, `high`, and `log` or `step`.
        trials: Number of trials, those that are pruned or fail included.
        sampler: Sampler of Optuna.
        pruner: Pruner of Optuna; None to train each trial to its end.
        objective: Objectives, of which the score is the first.
        winner_seeds: Number of fresh seeds that the winner is trained on.
        storage: Form of the file with the trials; a journal suits network file systems.
        seed: Seed of the sampler.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    space: Annotated[dict[str, Any], Field(min_length=1)]
    trials: Annotated[int, Field(ge=1, le=MOST_RUNS)]
    sampler: Literal["tpe", "random", "nsga2"] = "tpe"
    pruner: Literal["median", "hyperband"] | None = None
    objective: Annotated[list[Literal["score", "flops", "parameters", "latency"]], BeforeValidator(split_names)] = [
        "score"
    ]
    winner_seeds: Annotated[int, Field(ge=1, le=_MOST_SEEDS)] = 3
    storage: Literal["sqlite", "journal"] = "sqlite"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


def read_study(path: Path, objective: str | None) -> Study:
    """Read the settings of a search.

    Args:
        path: The file.
        objective: Objectives, separated by commas, in place of those of the file; None for these.

    Raises:
        ConfigError: If the file is missing, or a key or a value is wrong.
    """
    require(path.is_file(), f"--study {path}: no such file")
    content = read(path)
    for key in content:
        require(
            key in Study.model_fields,
            f"{show(path)}: no option '{key}'{did_you_mean(str(key), Study.model_fields, len(Study.model_fields))}",
        )
    for key in ("space", "trials"):
        require(content.get(key) is not None, f"{show(path)}: {key}: is missing; give {_EXAMPLES[key]}")
    objective_place = f"{show(path)}: objective" if objective is None else f"--objective {objective}"
    if objective is not None:
        content["objective"] = objective
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        keys, reason = describe_violation(error)
        place = objective_place if keys[0] == "objective" else f"{show(path)}: {'.'.join(keys)}"
        raise ConfigError(f"{place}: {reason}") from None
    names: list[str] = [*study.objective]
    is_score_first = names[:1] == ["score"] and len(set(names)) == len(names)
    require(is_score_first, f"{objective_place}: give score first, and each name once, as in score,flops")
    require(
        study.pruner is None or len(names) == 1,
        f"{show(path)}: pruner: works with the objective score alone; set it to null, or leave {names[-1]} out",
    )
    return study
