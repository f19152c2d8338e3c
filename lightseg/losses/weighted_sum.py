"""Loss of a recipe: a sum of losses with coefficients.

A recipe names losses with coefficients, `{ce: 1.0, dice: 0.5}`, or with arguments,
`{tversky: {weight: 0.5, alpha: 0.2, beta: 0.8}}`; a name may be the import path of a
user's class, `my_loss.MyLoss`, see `lightseg.losses.custom`.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from lightseg.errors import ConfigError, did_you_mean, require
from lightseg.losses.base import ClassLoss, LabelLoss, MaskedLoss, masked
from lightseg.losses.custom import BatchLoss, find_loss
from lightseg.losses.losses import LOSSES, MULTILABEL_LOSSES

LossSpec = Mapping[str, float | Mapping[str, float | bool | str]]
"""Coefficient of each loss by name or import path, or its arguments, of which `weight` is the coefficient."""

_LARGEST = 1e6
"""Largest coefficient; the least one is its inverse."""

_COUNTERPARTS = {"ce": "bce", "ohem": "focal", "sigmoid_focal": "focal", "lovasz": "jaccard", "mse": "bce", "bce": "ce"}
"""Loss to take instead of one of the other table."""


class WeightedSum(nn.Module):
    """Sum of losses; `terms` maps a name to its coefficient and its loss."""

    def __init__(self, terms: Mapping[str, tuple[float, MaskedLoss]]) -> None:
        super().__init__()
        # a module's name has no dots, which an import path has
        terms = {name.replace(".", "_"): term for name, term in terms.items()}
        self.terms = nn.ModuleDict({name: loss for name, (_, loss) in terms.items()})
        self.coefficients = {name: coefficient for name, (coefficient, _) in terms.items()}

    def forward(
        self, logits: Tensor, target: Tensor, counts: Tensor | None = None, share: Tensor | None = None
    ) -> Tensor:
        """Return the scalar sum.

        Args:
            logits: As in `MaskedLoss.forward`.
            target: As in `MaskedLoss.forward`.
            counts: As in `MaskedLoss.compute`.
            share: Share of the target in each image, `(N,)` float in 0..1, of losses that are additive; None: 1.
        """
        with torch.autocast(logits.device.type, enabled=False):
            # computed once for all terms
            logits, target, valid = masked(logits, target)
            valid = valid if share is None else valid * share.to(logits.dtype).unsqueeze(-1)
            prepared = logits, target, valid
            values = {name: cast(MaskedLoss, loss).compute(*prepared, counts) for name, loss in self.terms.items()}
            # fewer operations: one on a scalar takes as long as one on a small batch, forward and backward
            first, *others = (
                value if self.coefficients[name] == 1 else self.coefficients[name] * value
                for name, value in values.items()
            )
            return sum(others, first)


def build_loss(spec: LossSpec, weight: Tensor | None, multilabel: bool = False) -> WeightedSum:
    """Build the loss of a recipe; without `weight` it is cheap, and used to check a recipe.

    Args:
        spec: Coefficient of each loss by name or import path, or its arguments, of which `weight` is the coefficient
            (default 1).
        weight: Class weights for every term, float `(C,)`; of classes that may overlap, weights of the pixels without
            and with each class, `(C, 2)`, of which a `ClassLoss` takes the former; or None.
        multilabel: Whether classes may overlap.

    Raises:
        ConfigError: If a name or an argument is unknown, a value is not a number or out of range, a coefficient is
            negative, or none is positive.
    """
    losses = MULTILABEL_LOSSES if multilabel else LOSSES
    terms = {name: _term(name, settings, weight, losses) for name, settings in spec.items()}
    if not any(coefficient > 0 for coefficient, _ in terms.values()):
        raise ConfigError(
            f"the loss needs a term with a positive coefficient, such as {{{next(iter(losses))}: 1.0}}; there are "
            f"{', '.join(losses)}"
        )
    return WeightedSum(terms)


def _term(
    name: str,
    spec: float | Mapping[str, float | bool | str],
    weight: Tensor | None,
    losses: Mapping[str, type[MaskedLoss]],
) -> tuple[float, MaskedLoss]:
    is_custom = "." in str(name)
    if not is_custom and name not in losses:
        if name in _COUNTERPARTS:
            classes = "may overlap" if losses is LOSSES else "exclude each other"
            raise ConfigError(f"model.loss: {name} is for classes that {classes}; take {_COUNTERPARTS[name]} here")
        raise ConfigError(f"model.loss: there is no loss {name!r}{did_you_mean(str(name), losses, len(losses))}")
    settings = dict(spec) if isinstance(spec, Mapping) else {"weight": spec}
    kind = find_loss(name) if is_custom else losses[name]
    _require_kind(name, kind, losses)
    parameters = inspect.signature(kind).parameters
    options = list(parameters)
    coefficient = _coefficient(name, settings.pop("weight", 1.0))
    for key, value in settings.items():
        if key not in options:
            raise ConfigError(f"loss {name} has no {key!r}{did_you_mean(str(key), options, len(options))}")
        if not is_custom:
            _number(name, key, value)
        elif _takes_integers(parameters[key]) and isinstance(value, float) and value.is_integer():
            # the parser turns the numbers of a recipe into floats
            settings[key] = int(value)
    # the arguments differ between the classes
    make = cast(Callable[..., nn.Module], kind)
    if weight is not None and weight.ndim == 2 and issubclass(kind, ClassLoss):
        weight = weight[:, 0]
    if "weight" in options:
        settings["weight"] = weight  # type: ignore[assignment]
    require(
        weight is None or "weight" in options,
        f"model.class_weights: loss {name} takes none, since its constructor has no `weight`; leave them out",
    )
    module = make(**settings)
    require("training" in vars(module), f"model.loss: {name}: its constructor must call super().__init__() first")
    return coefficient, module if isinstance(module, MaskedLoss) else BatchLoss(module, name)


def _takes_integers(parameter: inspect.Parameter) -> bool:
    kinds = {*str(parameter.annotation).split(" | ")}
    return parameter.annotation is int or "int" in kinds or type(parameter.default) is int


def _coefficient(name: str, value: object) -> float:
    """Return the coefficient of a loss, after a check of its range."""
    coefficient = _number(name, "weight", value)
    require(coefficient >= 0, f"loss {name}: its coefficient must be at least 0, not {coefficient}")
    require(
        coefficient == 0 or 1 / _LARGEST <= coefficient <= _LARGEST,
        f"model.loss.{name}: the coefficient must be between {1 / _LARGEST:g} and {_LARGEST:g}, beyond which float32 "
        f"has no room for the loss, got {coefficient:g}",
    )
    return coefficient


def _number(name: str, key: str, value: object) -> float:
    """Return an option of a loss, after a check that it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"loss {name}: {key} must be a number, not {value!r}")
    return float(value)


def _require_kind(name: str, kind: type[nn.Module], losses: Mapping[str, type[MaskedLoss]]) -> None:
    """Check that a loss by its import path is for classes that exclude each other, or for those that may overlap."""
    if losses is LOSSES:
        is_fitting = not issubclass(kind, LabelLoss)
        require(is_fitting, f"model.loss: {name} is for classes that may overlap; take a subclass of PixelLoss")
    else:
        require(
            issubclass(kind, ClassLoss | LabelLoss),
            f"model.loss: {name} is for classes that exclude each other; take a subclass of LabelLoss or ClassLoss",
        )
