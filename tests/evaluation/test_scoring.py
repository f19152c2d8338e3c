"""Scoring of a split by the trainer."""

import numpy as np
import pytest
import torch
from torchmetrics import MeanMetric

from lightseg.data import Shapes
from lightseg.errors import ConfigError, DataError
from lightseg.evaluation.scoring import Scorer
from lightseg.evaluation.split_data import SplitData
from lightseg.labels import IGNORE
from lightseg.nets import UNet
from lightseg.tasks import SegmentationTask

DATA = Shapes(image_size=32, train_size=2, val_size=3, test_size=0, num_workers=0, batch_size=2)


class MeanLogit(MeanMetric):
    """Mean of all logits."""

    def update(self, logits, target, index):
        super().update(logits.mean(), weight=len(index))


@pytest.fixture
def task():
    torch.manual_seed(0)
    return SegmentationTask(UNet(6, width=4, depth=1), DATA.classes, mean=[0.5] * 3, std=[0.5] * 3).eval()


def test_score__every_valid_pixel_once_as_by_hand(task):
    scorer = Scorer(task, "cpu", 1, "32-true")
    scored = scorer.score(SplitData(DATA, "val"), "val", {"mean": MeanLogit()})
    expected, logits = np.zeros((6, 6), np.int64), []
    for index in range(3):
        image, mask = DATA.dataset("val")[index]
        with torch.inference_mode():
            logits.append(task(torch.from_numpy(image).permute(2, 0, 1)[None])[0])
        valid = mask != IGNORE
        np.add.at(expected, (mask[valid], logits[-1].argmax(0).numpy()[valid]), 1)
    assert scored.counts.tolist() == expected.tolist()
    assert scored.extra_results["mean"].item() == pytest.approx(torch.stack(logits).mean().item(), abs=1e-6)
    assert scored.evaluation.images == [DATA.dataset("val").name(index) for index in range(3)]
    assert scored.scores["score"] == task.scores(scored.counts)["score"]
    assert (scorer.precision, scorer.device) == ("32-true", "cpu")
    # the extra metrics leave the task
    assert len(task.extra_metrics) == 0


def test_score__a_split_of_void_is_refused_before_the_net_runs(task):
    data = SplitData(DATA, "val")
    data.class_table = lambda split: np.zeros((3, 6), np.int64)
    with pytest.raises(DataError, match="val has no valid pixel"):
        Scorer(task, "cpu", 1, "32-true").score(data, "val", {})


@pytest.mark.parametrize(
    ("devices", "precision", "message"),
    [
        (999, "32-true", "^--devices 999 --precision 32-true: this process may use "),
        (1, "17-mixed", "^--devices 1 --precision 17-mixed: "),
    ],
)
def test_scorer__what_this_machine_cannot_do_is_one_line(task, devices, precision, message):
    with pytest.raises(ConfigError, match=message) as raised:
        Scorer(task, "cpu", devices, precision)
    assert "\n" not in str(raised.value)
