import numpy as np
import pytest
import torch

from lightseg.errors import UserError
from lightseg.labels import IGNORE
from lightseg.metrics import confusion_matrix
from lightseg.metrics.confusion_matrix import PerImageCounts
from lightseg.metrics.per_image import PerImageResults


def test_per_image_counts__of_two_small_images_by_hand():
    counts = PerImageCounts(3)
    target = torch.tensor([[[0, 0], [1, IGNORE]], [[2, 2], [2, 2]]])
    prediction = torch.tensor([[[0, 1], [1, 2]], [[2, 2], [0, 2]]])
    counts.update(prediction, target, torch.tensor([7, 4]))
    # image, class, right, true, predicted
    assert counts.compute().tolist() == [[4, 0, 0, 0, 1], [4, 2, 3, 4, 3], [7, 0, 1, 2, 1], [7, 1, 1, 1, 2]]


def test_per_image_counts__of_a_classification():
    counts = PerImageCounts(3)
    counts.update(torch.tensor([1, 0]), torch.tensor([1, 2]), torch.tensor([0, 1]))
    assert counts.compute().tolist() == [[0, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 2, 0, 1, 0]]


def test_per_image_counts__that_are_reset_begin_anew():
    counts = PerImageCounts(2)
    counts.update(torch.tensor([1]), torch.tensor([1]), torch.tensor([0]))
    counts.reset()
    counts.update(torch.tensor([0]), torch.tensor([0]), torch.tensor([3]))
    assert counts.compute().tolist() == [[3, 0, 1, 1, 1]]


def evaluation(rng):
    target, prediction = (torch.from_numpy(rng.integers(0, 4, (5, 6, 6))) for _ in range(2))
    target[rng.random((5, 6, 6)) < 0.1] = IGNORE
    counts, matrix = PerImageCounts(4), confusion_matrix.ConfusionMatrix(4)
    counts.update(prediction, target, torch.arange(5))
    matrix.update(prediction, target)
    images = [f"a/{index}.png" for index in range(5)]
    rows = counts.compute().numpy()
    found = PerImageResults("segmentation", "test", "abc", "whole", list("abcd"), images, np.arange(5), rows)
    return found, matrix.compute()


def test_evaluation__adds_up_to_the_confusion_matrix():
    found, matrix = evaluation(np.random.default_rng(0))
    right, truth, predicted = found.dense.sum(0)
    assert right.tolist() == matrix.diagonal().tolist()
    assert truth.tolist() == matrix.sum(1).tolist()
    assert predicted.tolist() == matrix.sum(0).tolist()


def test_evaluation__comes_back_from_its_file(tmp_path):
    found, _ = evaluation(np.random.default_rng(1))
    assert found.write(tmp_path).name == "per_image_test.npz"
    again = PerImageResults.read(tmp_path, "test")
    assert (again.rows == found.rows).all()
    assert again.rows.dtype == again.indices.dtype == np.int64
    assert again.indices.tolist() == found.indices.tolist()
    for name in ("kind", "split", "data", "protocol", "classes", "images"):
        assert getattr(again, name) == getattr(found, name)
    assert PerImageResults.read(tmp_path, "val") is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nonsense"])
def test_evaluation__that_is_damaged_is_named(tmp_path, content):
    path = tmp_path / "per_image_test.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="per_image_test.npz: is damaged"):
        PerImageResults.read(tmp_path, "test")
