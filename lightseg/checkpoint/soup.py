"""Model soup: the mean of the weights of several trained tasks of one architecture."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightseg.checkpoint.rebuild import merge_adapters
from lightseg.errors import ConfigError
from lightseg.tasks import Task
from lightseg.tasks.ensemble import average_thresholds, require_agreement


def average_weights(tasks: Sequence[Task], names: Sequence[str]) -> Task:
    """Return the first of some tasks, whose weights are replaced by the arithmetic mean of those of all.

    Integers, such as the number of batches of a batch normalization, stay those of the first; the temperature is 1,
    and thresholds are averaged, too.

    Args:
        tasks: Two or more trained tasks in eval mode.
        names: Name of each of them, for messages.

    Raises:
        ConfigError: If they differ in anything but the values of their weights.

    Source: Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy
    without increasing inference time", arXiv:2203.05482, the uniform soup.
    """
    require_agreement(tasks, names)
    # the product of mean matrices would not be the mean of the products
    tasks = [merge_adapters(task) for task in tasks]
    first, states = tasks[0], [task.net.state_dict() for task in tasks]
    for task, name in zip(tasks[1:], names[1:], strict=True):
        for key, value in _architecture(task).items():
            if value != _architecture(first)[key]:
                raise ConfigError(
                    f"--soup: {name} has another {key} than {names[0]}; weights are averaged of runs of one recipe"
                )
    first.net.load_state_dict({name: _mean([state[name] for state in states]) for name in states[0]})
    first.temperature = 1.0
    average_thresholds(first, tasks)
    return first


def _architecture(task: Task) -> dict[str, Any]:
    """Return what must be equal in all tasks, by its name in messages."""
    net = task.recipe["config"]["model"]["init_args"]["net"]
    # trained weights have replaced the initial ones
    options = {name: value for name, value in (net.get("init_args") or {}).items() if name != "encoder_weights"}
    data = task.recipe["config"].get("data") or {}
    return {
        "model.net": (net["class_path"], options),
        "shape of a weight": {name: tuple(value.shape) for name, value in task.net.state_dict().items()},
        "normalization": (task.resolved["mean"], task.resolved["std"]),
        "data.eval_transforms": (data.get("init_args") or {}).get("eval_transforms") or None,
    }


def _mean(values: Sequence[Tensor]) -> Tensor:
    if not values[0].is_floating_point():
        return values[0]
    return torch.stack([value.double() for value in values]).mean(0).to(values[0].dtype)
