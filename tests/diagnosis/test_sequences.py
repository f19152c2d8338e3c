import numpy as np
import pytest

from lightseg.data import Shapes
from lightseg.diagnosis.samples import Sample, look
from lightseg.diagnosis.sequences import sequence_findings


def named(split, name, picture):
    summary = Sample(split, name, name)
    look(summary, picture, 0, 2)
    return summary


def frames(video, group, split, numbers):
    """Pictures with numbers: frames of one scene, or each another one."""
    pictures = Shapes(train_size=60, data_seed=sum(map(ord, group))).dataset("train")
    return [named(split, f"{group}_{n:03}.png", np.roll(pictures[0 if video else n][0], n, 1)) for n in numbers]


@pytest.mark.parametrize(("video", "severity"), [(True, "warning"), (False, "note")])
def test_sequences__names_alone_are_a_note_and_looks_a_warning(video, severity):
    samples = frames(video, "a", "train", range(8)) + frames(video, "b", "train", range(8))
    samples += frames(video, "b", "val", range(8, 14))
    (finding,) = sequence_findings(Shapes(), samples)
    assert finding.severity == severity
    assert "val is one" in finding.what


def test_sequences__in_splits_of_their_own_are_fine():
    samples = frames(True, "a", "train", range(8)) + frames(True, "b", "val", range(8))
    assert sequence_findings(Shapes(), samples) == []
