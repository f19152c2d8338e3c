"""Errors of objects that a recipe builds."""

import pytest
import torch

from lightseg.config.class_errors import describe_failure


def test_describe_failure__has_the_key_of_the_object_of_the_recipe_that_raised():
    weight = torch.nn.Parameter(torch.zeros(1))
    raising, other = (torch.optim.SGD([weight], lr=0.1) for _ in range(2))
    with pytest.raises(ValueError, match="more than one") as caught:
        raising.add_param_group({"params": [weight]})
    message = describe_failure(caught.value, [("model.optimizer", raising), ("trainer.callbacks", other)])
    assert message == f"model.optimizer: SGD: {caught.value}"
    assert describe_failure(caught.value, [("trainer.callbacks", other)]) is None
