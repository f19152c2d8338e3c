"""Sampling, loaders and batch sizes of data modules."""

import numpy as np
import pytest

from lightseg.data import Shapes
from lightseg.errors import ConfigError, DataError
from lightseg.labels import IGNORE
from tests.data.in_memory import MaskModule


def test_sampling__custom_dataset():
    assert MaskModule(num_workers=0).draw_weights() is None
    assert MaskModule(sampling="class_balanced").draw_weights() == pytest.approx([0.75, 0.25])


def test_sampling__without_classes_is_an_error_before_training():
    void = [np.full((2, 2), IGNORE, np.uint8)] * 2
    MaskModule(void).check_training()
    with pytest.raises(ConfigError, match="no training sample holds one"):
        MaskModule(void, sampling="square_root").check_training()


def test_batch_size__is_shared_evenly_or_refused():
    data = Shapes(batch_size=12)
    assert data.check_batch_size(2, 3) == 2
    with pytest.raises(ConfigError, match="12 samples cannot be shared by 8 .*; the nearest that can: 8 or 16"):
        data.check_batch_size(4, 2)
    with pytest.raises(ConfigError, match="the nearest that can: 16$"):
        data.check_batch_size(16, 1)


def test_train_loader__too_few_samples_for_a_batch():
    with pytest.raises(DataError, match="3 training samples do not fill one batch; set data.batch_size to 3"):
        Shapes(train_size=3, batch_size=4).check_training()


@pytest.mark.parametrize("workers", [0, 2])
def test_train_loader__pixels_do_not_depend_on_workers(workers):
    import albumentations as A

    def batches(count):
        data = Shapes(
            image_size=32, train_size=12, batch_size=4, num_workers=count, train_transforms=[A.D4(), A.GaussNoise()]
        )
        return [batch["image"].numpy().tobytes() for batch in data.train_dataloader()]

    assert batches(workers) == batches(1)
