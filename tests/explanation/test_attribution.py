"""Maps of nets whose evidence is known, and the test that tells good maps from bad ones."""

import numpy as np
import pytest
import torch
from torch import nn

from lightseg.explanation.attribution import Question, map_layer, method
from lightseg.explanation.deletion import Deletion, delete, faithfulness, is_faithful
from lightseg.nets import FCN, SimpleCNN, SmpNet, TimmNet, TorchvisionNet, UNet
from lightseg.tasks import ClassificationTask, SegmentationTask

SIDE, PATCH = 48, 12


class Brightness(nn.Module):
    """Goes by how bright its brightest window is, of all of the image or of what a mask lets through."""

    def __init__(self, mask=None):
        super().__init__()
        self.features = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.features.weight, 1 / 3)
        self.mask = torch.ones(SIDE, SIDE) if mask is None else mask

    def forward(self, images):
        bright = self.features(images) * self.mask
        score = 40 * (nn.functional.avg_pool2d(bright, PATCH, PATCH).amax((1, 2, 3)) - 0.8)
        return torch.stack([-score, score], 1)


def task(net):
    made = ClassificationTask(net, ["no", "yes"], mean=[0.0] * 3, std=[1.0] * 3, channels_last=False)
    return made.eval()


def images(count=8):
    """A bright patch at places of its own on dark noise: `(1, 3, 48, 48)` uint8, and where it is."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        image = rng.integers(0, 40, (3, SIDE, SIDE))
        row, column = PATCH * rng.integers(0, SIDE // PATCH, 2)
        where = np.s_[row : row + PATCH, column : column + PATCH]
        image[:, *where] = 250
        yield torch.from_numpy(image.astype(np.uint8))[None], where


def shares_inside(net, count=8):
    """How much of each map is in the patch, and the tests."""
    asked, found, done = task(net), [], []
    for index, (image, where) in enumerate(images(count)):
        question = Question.ask(asked, image, 1)
        values = method(asked, image)[1](question)
        found.append(float(values[where].sum() / values.sum()))
        done.append(delete(question, values, index))
    return found, done


def test_grad_cam__finds_the_evidence_and_is_faithful():
    found, done = shares_inside(Brightness())

    # a sixteenth of the image
    assert min(found) > 0.3
    assert all(each.probability > 0.99 and each.most[0] < 0.01 for each in done)
    assert all(each.least[-1] > 0.99 for each in done)
    assert is_faithful(done)


def test_integrated_gradients__find_the_evidence(monkeypatch):
    monkeypatch.setattr("lightseg.explanation.attribution._SIDE", SIDE + 1)
    name, _ = method(task(Brightness()), next(images())[0])
    found, done = shares_inside(Brightness())

    assert name == "integrated gradients"
    assert min(found) > 0.9
    assert is_faithful(done)


def test_deletion__tells_maps_that_point_elsewhere():
    asked, done = task(Brightness()), {"random": [], "opposite": []}
    for index, (image, _) in enumerate(images()):
        question = Question.ask(asked, image, 1)
        noise = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(index))
        done["random"].append(delete(question, noise, index))
        done["opposite"].append(delete(question, -image[0].float().mean(0), index))

    assert not is_faithful(done["random"])
    assert not is_faithful(done["opposite"])
    assert faithfulness(done["opposite"])[0] < 0


def test_deletion__a_map_that_says_nothing_points_nowhere():
    image = torch.full((1, 3, SIDE, SIDE), 10, dtype=torch.uint8)
    # what is first in reading order must not be taken for what the map points at
    image[..., :PATCH, :PATCH] = 250
    question = Question.ask(task(Brightness()), image, 1)
    done = [delete(question, torch.zeros(SIDE, SIDE), seed) for seed in range(12)]

    assert not is_faithful(done)


def test_deletion__tells_of_a_map_that_follows_a_decoy():
    # the net looks at the top left only, which its features do not know
    mask = torch.zeros(SIDE, SIDE)
    mask[:PATCH, :PATCH] = 1
    asked, done = task(Brightness(mask)), []
    for index in range(8):
        image = torch.full((1, 3, SIDE, SIDE), 10, dtype=torch.uint8)
        image[..., :PATCH, :PATCH] = 240
        image[..., PATCH * 2 :, :] = 255
        question = Question.ask(asked, image, 1)
        done.append(delete(question, method(asked, image)[1](question), index))

    assert all(each.most[1] > 0.99 for each in done)
    assert not is_faithful(done)


def test_faithfulness__needs_several_images():
    one = Deletion(1.0, np.zeros(4), np.ones(4), np.full(4, 0.5))

    assert faithfulness([one] * 8)[0] == pytest.approx(0.5)
    assert is_faithful([one] * 8)
    assert not is_faithful([one] * 3)


def test_question__is_about_the_pixels_that_are_said_to_be_the_class():
    class Halves(nn.Module):
        def forward(self, images):
            return torch.cat([images[:, :1], 1 - images[:, :1]], 1)

    asked = SegmentationTask(Halves(), ["bright", "dark"], mean=[0.0] * 3, std=[1.0] * 3).eval()
    image = torch.zeros(1, 3, 4, 4)
    image[..., :1] = 0.9
    question = Question.ask(asked, image, 0)

    assert question.where.sum() == 4
    assert question.logit(image).item() == pytest.approx(0.9)
    assert question.probability(image).item() == pytest.approx(1 / (1 + np.exp(0.1 - 0.9)))
    # as everywhere on the page, probabilities are those with the temperature
    asked.temperature = 4.0
    assert question.probability(image).item() == pytest.approx(1 / (1 + np.exp((0.1 - 0.9) / 4)))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: UNet(3, width=4, depth=2), "down.2"),
        (lambda: FCN(3, width=4), "encoder.stages.4.5"),
        (lambda: SimpleCNN(3, image_size=64), "layers.7"),
        (lambda: SmpNet(3, encoder="resnet18"), "encoder.layer3"),
        (lambda: SmpNet(3, arch="deeplabv3plus", encoder="resnet18"), "encoder.layer4"),
        (lambda: TimmNet(3, encoder="test_resnet.r160_in1k"), "encoder.layer3"),
        (lambda: TorchvisionNet(3, encoder="resnet18"), "encoder.layer3"),
        (lambda: TimmNet(3, encoder="test_vit.r160_in1k", kwargs={"img_size": 64}), None),
    ],
)
def test_map_layer__is_the_last_of_the_coarsest_maps(make, name):
    net = make().eval()

    assert map_layer(net, lambda: net(torch.zeros(1, 3, 64, 64)), (64, 64)) == name


class ChannelsLast(nn.Module):
    """What a Swin transformer does with its features."""

    def forward(self, features):
        return features.permute(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("last", "name"), [(nn.AdaptiveAvgPool2d(5), "0"), (ChannelsLast(), None), (nn.Flatten(2), None)]
)
def test_map_layer__what_comes_behind_it_may_know_more(last, name):
    net = nn.Sequential(nn.Conv2d(3, 8, 4, 4), last, nn.Flatten())

    # a pooling to a square is no map of a wide image, and nothing that would be better
    assert map_layer(net, lambda: net(torch.zeros(1, 3, 32, 64)), (32, 64)) == name
