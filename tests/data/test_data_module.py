import numpy as np
import pytest
import torch

from lightseg.data import ImageDataModule, Shapes, ShapesClassification
from lightseg.data.loading.collate import stack
from lightseg.data.types import SPLITS
from lightseg.errors import ConfigError, DataError
from lightseg.files.disk_cache import cache_dir
from lightseg.labels import IGNORE
from tests.data.in_memory import MaskOnlyDataset

MASKS = [np.array([[0, 0, 1], [IGNORE, 1, 1]], np.uint8), np.array([[0, IGNORE], [0, 0]], np.uint8)]


class MaskModule(ImageDataModule):
    classes = ("a", "b", "c")

    def __init__(self, masks=MASKS, **options):
        super().__init__(batch_size=2, **options)
        self.masks = masks

    def make_dataset(self, split):
        return MaskOnlyDataset(self.masks)


def test_class_table__by_hand():
    data = MaskModule()
    assert data.class_table().tolist() == [[2, 3, 0], [3, 0, 0]]
    assert data.class_table().dtype == np.int64
    assert data.class_counts().tolist() == [5, 3, 0]
    # the first mask has 5 valid pixels, the second 3
    assert data.class_extents().tolist() == [8, 5, 0]


def test_check__returns_class_counts():
    data = MaskModule()
    assert {split: counts.tolist() for split, counts in data.check().items()} == {split: [5, 3, 0] for split in SPLITS}
    assert [data.dataset(split).reads for split in SPLITS] == [2, 0, 0]  # one content, in the cache then


def test_palette__of_classes_that_may_overlap_has_no_black():
    data = MaskModule()
    assert data.palette == [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
    data.multilabel = True
    assert data.palette == [(128, 0, 0), (0, 128, 0), (128, 128, 0)]


def test_class_table__of_labels_is_one_hot():
    data = ShapesClassification(train_size=20)
    labels = [data.dataset("train")[index][1] for index in range(20)]
    assert data.class_table().tolist() == np.eye(5, dtype=int)[labels].tolist()
    assert data.class_extents().tolist() == data.class_counts().tolist()


def test_class_table__is_read_once_from_the_data_then_from_the_cache():
    first, again = MaskModule(), MaskModule()
    for data in (first, again):
        for _ in range(2):
            assert data.class_table("train").tolist() == [[2, 3, 0], [3, 0, 0]]
    assert (first.dataset("train").reads, again.dataset("train").reads) == (2, 0)
    (path,) = cache_dir().glob("*.npy")
    path.write_bytes(path.read_bytes()[:-1])
    assert again.class_counts("train").tolist() == [5, 3, 0]
    assert again.dataset("train").reads == 2


def test_class_table__changed_content_is_counted_again():
    MaskModule().class_table()
    assert MaskModule(MASKS[::-1]).class_table().tolist() == [[3, 0, 0], [2, 3, 0]]


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


def test_stack__different_sizes_are_an_error_with_advice():
    samples = [{"image": np.zeros((3, size, 8)), "target": np.zeros((size, 8)), "index": 0} for size in (8, 9)]
    with pytest.raises(DataError, match="end data.train_transforms with a RandomCrop"):
        stack(samples)


def test_stack__8_bit_and_float_images_have_one_scale():
    samples = [
        {"image": torch.full((3, 2, 2), 255, dtype=torch.uint8), "target": torch.zeros(2, 2), "index": 0},
        {"image": torch.ones(3, 2, 2), "target": torch.zeros(2, 2), "index": 1},
    ]
    assert torch.equal(stack(samples)["image"], torch.ones(2, 3, 2, 2))
