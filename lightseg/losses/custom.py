"""Losses that a recipe names by their import path."""

import pkgutil

from torch import Tensor, nn

from lightseg.errors import ConfigError
from lightseg.losses.base import MaskedLoss


class BatchLoss(MaskedLoss):
    """Any module as a loss of the valid pixels (or samples) of a batch.

    The module gets logits `(M, C)` and targets `(M,)` of the M valid pixels, and returns a scalar. Its mean is that of
    a batch of one process, so that the gradient of several processes or accumulated batches is a mean of means.

    Args:
        module: The loss.
        path: Its import path, for messages.

    Raises:
        ConfigError: If the module has parameters, which no optimizer would train.
    """

    def __init__(self, module: nn.Module, path: str) -> None:
        super().__init__()
        if any(True for _ in module.parameters()):
            raise ConfigError(f"model.loss: {path} has parameters, which are not trained; keep them in the net")
        self.module, self.path = module, path

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor, counts: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """See `MaskedLoss.compute`."""
        pixels, targets = logits.movedim(1, 2)[valid], target[valid]
        if not len(targets):
            # the mean over nothing is NaN in most losses
            return logits.sum() * 0
        loss = self.module(pixels, targets)
        if not isinstance(loss, Tensor) or loss.ndim:
            result = f"a tensor of {list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise ConfigError(f"model.loss: {self.path} returns {result}; return a tensor of one number")
        return loss


def find_loss(path: str) -> type[nn.Module]:
    """Return the class of a loss by its import path.

    Raises:
        ConfigError: If it cannot be imported, or is no module of torch.
    """
    try:
        kind = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"model.loss: {path} cannot be imported: {error}; put its file beside the recipe") from error
    if not isinstance(kind, type) or not issubclass(kind, nn.Module):
        raise ConfigError(f"model.loss: {path} is no loss; name a subclass of lightseg.losses.PixelLoss or nn.Module")
    return kind
