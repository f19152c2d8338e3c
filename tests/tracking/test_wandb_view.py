"""Panels of the W&B view."""

import numpy as np
import pytest

from lightseg.tracking import wandb_view


@pytest.mark.parametrize(("filled", "expected"), [(150, 150), (10_001, None)])
def test_confusion__more_cells_than_wandb_takes(filled, expected):
    classes, counts = [f"class{index}" for index in range(150)], np.zeros(150 * 150, np.int64)
    counts[:filled] = 1
    panels = wandb_view._confusion("test", classes, counts.reshape(150, 150))
    assert len(panels) == (expected is not None)
    for panel in panels.values():
        assert len(panel.table.data) == expected
