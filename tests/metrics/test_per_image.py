import numpy as np
import pytest
import torch

from lightseg.errors import UserError
from lightseg.labels import IGNORE
from lightseg.metrics.confusion_matrix import ConfusionMatrix, PerImageCounts
from lightseg.metrics.per_image import PerImageResults


def random_results(rng):
    """Return per-image results of random labels, and their confusion matrix."""
    target, prediction = (torch.from_numpy(rng.integers(0, 4, (5, 6, 6))) for _ in range(2))
    target[rng.random((5, 6, 6)) < 0.1] = IGNORE
    counts, matrix = PerImageCounts(4), ConfusionMatrix(4)
    counts.update(prediction, target, torch.arange(5))
    matrix.update(prediction, target)
    images = [f"a/{index}.png" for index in range(5)]
    rows = counts.compute().numpy()
    results = PerImageResults("segmentation", "test", "abc", "whole", list("abcd"), images, np.arange(5), rows)
    return results, matrix.compute()


def test_per_image_results__add_up_to_the_confusion_matrix():
    results, matrix = random_results(np.random.default_rng(0))
    true_positives, targets, predictions = results.dense.sum(0)
    assert true_positives.tolist() == matrix.diagonal().tolist()
    assert targets.tolist() == matrix.sum(1).tolist()
    assert predictions.tolist() == matrix.sum(0).tolist()


def test_per_image_results__come_back_from_their_file(tmp_path):
    results, _ = random_results(np.random.default_rng(1))
    assert results.write(tmp_path).name == "per_image_test.npz"
    restored = PerImageResults.read(tmp_path, "test")
    assert (restored.rows == results.rows).all()
    assert restored.rows.dtype == restored.indices.dtype == np.int64
    assert restored.indices.tolist() == results.indices.tolist()
    for name in ("kind", "split", "data", "protocol", "classes", "images"):
        assert getattr(restored, name) == getattr(results, name)
    assert PerImageResults.read(tmp_path, "val") is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nonsense"])
def test_per_image_results__a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "per_image_test.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="per_image_test.npz: is damaged"):
        PerImageResults.read(tmp_path, "test")
