"""Teacher of a task: a trained task that it imitates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lightseg.errors import ConfigError
from lightseg.files.printable import join_names
from lightseg.inference.predictor import Predictor


class Teacher:
    """Trained task in eval mode that predicts without gradients.

    It is no module, so that neither the optimizer, the exchange of gradients, the averages nor the checkpoints of the
    task that imitates it have its weights. Its logits are in the order of the classes of that task.

    Args:
        teacher: The trained task.
        student: The task that imitates it.

    Raises:
        ConfigError: If they differ in kind, or in the names of their classes.
    """

    def __init__(self, teacher: Predictor, student: Predictor) -> None:
        kinds = [_kind(teacher), _kind(student)]
        if kinds[0] != kinds[1]:
            raise ConfigError(f"model.teacher: is for {kinds[0]}, not for {kinds[1]}; take one of this kind of task")
        absent_names, extra_names = (
            [name for name in first.classes if name not in second.classes]
            for first, second in ((student, teacher), (teacher, student))
        )
        if absent_names or extra_names:
            parts = [f"lacks {_list(absent_names)}"] if absent_names else []
            parts += [f"has {_list(extra_names)}, which the data lacks"] if extra_names else []
            raise ConfigError(
                f"model.teacher: {' and '.join(parts)}; take one of the same classes, or model.init, which takes "
                "weights by class"
            )
        self.task = teacher.eval().requires_grad_(False)
        is_same_order = list(teacher.classes) == list(student.classes)
        order = torch.tensor([teacher.classes.index(name) for name in student.classes])
        self._order = None if is_same_order else order

    def __deepcopy__(self, _memo: dict[int, Any]) -> Teacher:
        """Return the teacher itself, which copies of the task share, such as an average of its weights."""
        return self

    def to(self, device: torch.device, dtype: torch.dtype | str) -> None:
        """Move the teacher to a device, in a precision."""
        self.task.to(device=device, dtype=dtype)
        self._order = None if self._order is None else self._order.to(device)

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return the logits of images as in `Task.forward`, which the teacher normalizes by its own statistics."""
        logits: Tensor = self.task(images)
        # indexing by a list would copy it to the device in every step
        return logits if self._order is None else logits.index_select(1, self._order)


def _kind(task: Predictor) -> str:
    return f"{'multi-label ' if task.multilabel else ''}{task.kind}"


def _list(names: list[str]) -> str:
    return f"{'the class' if len(names) == 1 else 'the classes'} {join_names(names, 5)}"
