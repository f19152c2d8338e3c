"""Trials of a recipe's net and loss on the data, before the run folder exists."""

import copy
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lightseg.config.class_errors import passes_user_code, reason
from lightseg.data.types import Batch
from lightseg.errors import ConfigError, LightsegError, require
from lightseg.tasks import Task


@contextmanager
def fits(task: Task, batch: Batch) -> Iterator[None]:
    """Translate the error of a library's net about a sample into one line.

    Raises:
        ConfigError: If the net fails without code of the user involved.
    """
    try:
        yield
    except Exception as error:
        key = f"model.net: {type(task.net).__name__} cannot take images of {list(batch['image'].shape[1:])}"
        if isinstance(error, LightsegError) or passes_user_code(error.__traceback__):
            raise
        raise ConfigError(f"{key}: {reason(error)}") from error


def require_output(task: Task, images: Tensor, logits: Tensor) -> None:
    """Check that a task gives logits for each image, and where they are computed.

    Args:
        task: The task.
        images: Images `(N, C, H, W)`.
        logits: Its output for them.

    Raises:
        ConfigError: If the output has another shape, device or type.
    """
    place = images.shape[2:] if task.kind == "segmentation" else ()
    expected = (len(images), len(task.classes), *place)
    name = f"model.net: {type(task.net).__name__}"
    require(
        logits.shape == expected,
        f"{name} gives {list(logits.shape)} for images of {list(images.shape)}, instead of {list(expected)}",
    )
    require(
        logits.device == images.device,
        f"{name} gives logits on the device {logits.device} for images on {images.device}; keep them on one device",
    )
    require(logits.is_floating_point(), f"{name} gives {logits.dtype}; logits are floating-point numbers")


def try_loss(task: Task, target: Tensor) -> None:
    """Try the loss of a recipe and its gradient, if it is no loss of lightseg.

    Args:
        task: The task, adapted to the data.
        target: Target of an image, as in `MaskedLoss.forward`.

    Raises:
        ConfigError: If it does not accept logits and targets, or has no gradient.
    """
    paths = [name for name in task.loss.spec if "." in name]
    if not paths:
        return
    if task.kind == "classification":
        # a loss for other shapes would broadcast one target, or as many as there are classes
        target = target.repeat(len(task.classes) + 1, *[1] * (target.ndim - 1))
    shape = target.shape if task.multilabel else (len(target), len(task.classes), *target.shape[1:])
    key = f"model.loss: {', '.join(paths)}"
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), warnings.catch_warnings():
        # torch warns of shapes that it then refuses
        warnings.simplefilter("ignore")
        logits = torch.randn(shape, requires_grad=True)
        try:
            # a copy, since a loss may have a state, and the other processes do not try it
            loss = copy.deepcopy(task.loss)(logits, target)
            require(loss.requires_grad, f"{key}: does not depend on the logits, so that nothing would be trained")
            loss.backward()
        except Exception as error:
            if isinstance(error, LightsegError) or passes_user_code(error.__traceback__):
                raise
            raise ConfigError(f"{key} cannot take logits and targets of this task: {reason(error)}") from error


def refusal(error: Exception, net: nn.Module) -> ConfigError | None:
    """Return an error of a library's net as one line; None for other errors.

    Args:
        error: The exception with its traceback.
        net: The net.
    """
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    ran = any(frame.f_locals.get("self") is net for frame in frames)
    if isinstance(error, LightsegError) or not ran or passes_user_code(error.__traceback__):
        return None
    return ConfigError(f"model.net: {type(net).__name__} cannot take the images of this data: {reason(error)}")
