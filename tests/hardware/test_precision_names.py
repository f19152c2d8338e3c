from typing import get_args

import pytest
from lightning.fabric.connector import _convert_precision_to_unified_args
from lightning.fabric.plugins.precision.precision import (
    _PRECISION_INPUT_INT,
    _PRECISION_INPUT_STR,
    _PRECISION_INPUT_STR_ALIAS,
)

from lightseg.hardware.precision_names import canonical_precision


@pytest.mark.filterwarnings("ignore:.*is supported for historical reasons")
@pytest.mark.parametrize(
    "value", [*get_args(_PRECISION_INPUT_STR_ALIAS), *get_args(_PRECISION_INPUT_INT), *get_args(_PRECISION_INPUT_STR)]
)
def test_canonical_precision__is_that_of_lightning(value):
    assert canonical_precision(value) == _convert_precision_to_unified_args(value)


def test_canonical_precision__of_null_is_float32_and_others_stay():
    assert [canonical_precision(value) for value in (None, "auto", "bf17")] == ["32-true", "auto", "bf17"]
