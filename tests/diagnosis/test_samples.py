import numpy as np

from lightseg.diagnosis.samples import Sample, look
from lightseg.labels import IGNORE


def test_look__counts_by_hand():
    mask = np.zeros((4, 5), np.uint8)
    mask[0, :2], mask[3, 3:], mask[2, 0] = 1, 1, IGNORE
    summary = Sample("train", "a", "a")
    image = np.full((4, 5, 3), 51, np.uint8)
    image[..., 1] = 255
    look(summary, image, mask, 3)
    assert summary.counts.tolist() == [15, 4, 0, 1]
    assert sorted(summary.objects[1].tolist()) == [2, 2]
    number, total, squares = summary.pixels
    assert number == 20
    np.testing.assert_allclose(total / 20, [0.2, 1, 0.2])
    np.testing.assert_allclose(squares / 20, [0.04, 1, 0.04])
