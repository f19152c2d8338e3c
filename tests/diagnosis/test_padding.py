import numpy as np
import pytest
import torch

from lightseg.data import Shapes
from lightseg.diagnosis.padding import padding_findings
from lightseg.diagnosis.samples import Sample
from lightseg.labels import IGNORE


def survey(data, void, size):
    """Summaries of the training samples: the share of void in their masks, and their size."""
    dataset = data.dataset("train")
    valid = np.array([round((1 - void) * size[0] * size[1])])
    names = [dataset.name(index) for index in range(len(dataset))]
    return [Sample("train", name, name, size=size, valid=valid) for name in names]


def batches(shape, content, void=0.0):
    """Augmented samples: `content` pixels of each side are the image, of which a share is void, the rest padding."""
    target = torch.full((1, *shape), IGNORE)
    target[:, : content[0], : content[1]] = 1
    target[:, : round(void * content[0]), : content[1]] = IGNORE
    return [{"target": target, "index": torch.tensor([index])} for index in range(4)]


@pytest.fixture
def data():
    return Shapes(train_size=4)


def test_padding_findings__of_a_crop_larger_than_the_images(data):
    (finding,) = padding_findings(data, survey(data, 0, (64, 64)), batches((256, 256), (64, 64)))
    assert finding.severity == "note"
    assert "256×256" in finding.what
    assert "64×64" in finding.what
    assert "94%" in finding.what
    assert finding.mend == "in data.train_transforms, set height and width to 64"


def test_padding_findings__sides_of_their_own(data):
    (finding,) = padding_findings(data, survey(data, 0, (64, 512)), batches((256, 256), (64, 256)))
    assert finding.mend == "in data.train_transforms, set height to 64 and width to 256"


def test_padding_findings__void_of_the_file_is_no_padding(data):
    assert padding_findings(data, survey(data, 0.75, (64, 64)), batches((64, 64), (64, 64), void=0.75)) == []
    (finding,) = padding_findings(data, survey(data, 0.5, (64, 64)), batches((128, 128), (64, 64), void=0.5))
    assert "75%" in finding.what


def test_padding_findings__of_images_scaled_down(data):
    (finding,) = padding_findings(data, survey(data, 0, (256, 256)), batches((128, 128), (64, 64)))
    assert "scale images down less" in finding.mend


def test_padding_findings__a_little_is_fine(data):
    assert padding_findings(data, survey(data, 0, (64, 64)), batches((80, 80), (64, 64))) == []
