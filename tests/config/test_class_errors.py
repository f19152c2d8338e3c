"""Errors of objects that a recipe builds."""

import pytest
import torch
from torch import nn

from lightseg.config.class_errors import describe_failure


def test_failure__in_an_object_of_the_recipe_has_its_key():
    scheduler = torch.optim.lr_scheduler.LinearLR
    with pytest.raises(RuntimeError) as caught:
        nn.Linear(2, 2)(torch.zeros(3))
    assert describe_failure(caught.value, [("trainer.callbacks", scheduler)]) is None
