import numpy as np
import torch

from lightseg.labels import IGNORE
from lightseg.metrics.object_recall import ObjectRecall, scores
from tests.metrics.samples import one_hot_logits


def count_objects(truth, prediction, classes):
    metric = ObjectRecall(classes)
    truth, prediction = (torch.as_tensor(labels, dtype=torch.int64)[None] for labels in (truth, prediction))
    metric.update(one_hot_logits(prediction, classes), truth, torch.zeros(1, dtype=torch.int64))
    return metric.compute()


def test_objects__recall_and_found_by_hand():
    truth = np.zeros((200, 200), np.int64)
    truth[:10, :10] = 1
    truth[20:60, :40] = 1
    truth[100:, 100:] = 1
    prediction = np.zeros_like(truth)
    prediction[:10, :5] = 1  # 50 of 100 small: half is found
    prediction[20:60, :10] = 1  # 400 of 1,600 medium: not found
    prediction[100:, 100:] = 1  # all of 10,000 large
    counts = count_objects(truth, prediction, 2)
    assert counts[1].tolist() == [[1, 1, 100, 50], [1, 0, 1600, 400], [1, 1, 10_000, 10_000]]
    assert counts[0].tolist() == [[0] * 4, [0] * 4, [1, 1, 40_000 - 11_700, 40_000 - 11_700]]
    values = scores(counts, ["ground", "thing"])
    assert [values[f"recall_{size}/thing"] for size in ("small", "medium", "large")] == [0.5, 0.25, 1]
    assert [values[f"found_{size}/thing"] for size in ("small", "medium", "large")] == [1, 0, 1]
    assert np.isnan(values["recall_small/ground"])
    assert values["recall_small"] == 0.5


def test_objects__limits():
    truth = np.zeros((200, 400), np.int64)
    truth[:32, :32] = 1
    truth[100:196, :96] = 1
    truth[100:196, 200:296] = 1
    truth[100, 200] = 0
    truth[:32, 100:132] = 1
    truth[0, 100] = 0
    assert count_objects(truth, truth, 2)[1, :, 0].tolist() == [1, 2, 1]


def test_objects__corners_connect_and_void_parts():
    truth = np.zeros((6, 6), np.int64)
    truth[0, 0] = truth[1, 1] = 1
    truth[3:, 3:] = 1
    truth[3:, 4] = IGNORE
    counts = count_objects(truth, np.ones_like(truth), 2)
    # the two at the corner are one object; the square is parted in two
    assert counts[1, 0].tolist() == [3, 3, 2 + 3 + 3, 8]
    assert counts[0, 0].tolist() == [1, 0, 36 - 9 - 2, 0]
