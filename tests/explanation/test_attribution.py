"""Attributions of nets whose evidence is known."""

import numpy as np
import pytest
import torch
from torch import nn

from lightseg.explanation.attribution import ClassTarget, choose_method, find_map_layer
from lightseg.explanation.deletion import is_faithful, measure_deletion
from lightseg.nets import FCN, Segmenter, SimpleCNN, SmpNet, TimmNet, TorchvisionNet, UNet
from lightseg.tasks import SegmentationTask
from tests.explanation.fabricate import label_task
from tests.explanation.known_evidence import SIDE, Brightness, build_task, images


def shares_inside(net, count=8):
    """Return the share of each map inside the patch, and the deletion tests."""
    task, shares, deletions = build_task(net), [], []
    for index, (image, region) in enumerate(images(count)):
        target = ClassTarget.of(task, image, 1)
        values = choose_method(task, image)[1](target)
        shares.append(float(values[region].sum() / values.sum()))
        deletions.append(measure_deletion(target, values, index))
    return shares, deletions


def test_grad_cam__finds_the_evidence_and_is_faithful():
    shares, deletions = shares_inside(Brightness())

    # the patch is a sixteenth of the image
    assert min(shares) > 0.3
    assert all(deletion.probability > 0.99 and deletion.most[0] < 0.01 for deletion in deletions)
    assert all(deletion.least[-1] > 0.99 for deletion in deletions)
    assert is_faithful(deletions)


def test_integrated_gradients__find_the_evidence(monkeypatch):
    monkeypatch.setattr("lightseg.explanation.attribution._SIDE", SIDE + 1)
    name, _ = choose_method(build_task(Brightness()), next(images())[0])
    shares, deletions = shares_inside(Brightness())

    assert name == "integrated gradients"
    assert min(shares) > 0.9
    assert is_faithful(deletions)


def test_class_target__averages_over_the_predicted_pixels():
    class Halves(nn.Module):
        def forward(self, images):
            return torch.cat([images[:, :1], 1 - images[:, :1]], 1)

    task = SegmentationTask(Halves(), ["bright", "dark"], mean=[0.0] * 3, std=[1.0] * 3).eval()
    image = torch.zeros(1, 3, 4, 4)
    image[..., :1] = 0.9
    target = ClassTarget.of(task, image, 0)

    assert target.region.sum() == 4
    assert target.logit(image).item() == pytest.approx(0.9)
    assert target.probability(image).item() == pytest.approx(1 / (1 + np.exp(0.1 - 0.9)))
    # probabilities use the temperature
    task.temperature = 4.0
    assert target.probability(image).item() == pytest.approx(1 / (1 + np.exp((0.1 - 0.9) / 4)))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: UNet(3, width=4, depth=2), "down.2"),
        (lambda: FCN(3, width=4), "encoder.stages.4.5"),
        (lambda: SimpleCNN(3, image_size=64), "layers.7"),
        (lambda: SmpNet(3, encoder="resnet18"), "encoder.layer3"),
        (lambda: SmpNet(3, arch="deeplabv3plus", encoder="resnet18"), "encoder.layer4"),
        (lambda: Segmenter(3, encoder="test_resnet.r160_in1k"), "encoder.layer3"),
        (lambda: Segmenter(3, encoder="test_vit.r160_in1k"), None),
        (lambda: TimmNet(3, encoder="test_resnet.r160_in1k"), "encoder.layer3"),
        (lambda: TorchvisionNet(3, encoder="resnet18"), "encoder.layer3"),
        (lambda: TimmNet(3, encoder="test_vit.r160_in1k", kwargs={"img_size": 64}), None),
    ],
)
def test_find_map_layer__is_the_last_of_the_coarsest_maps(make, name):
    net = make().eval()

    assert find_map_layer(net, lambda: net(torch.zeros(1, 3, 64, 64)), (64, 64)) == name


class ChannelsLast(nn.Module):
    """Permutation of features as in a Swin transformer."""

    def forward(self, features):
        return features.permute(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("last", "name"), [(nn.AdaptiveAvgPool2d(5), "0"), (ChannelsLast(), None), (nn.Flatten(2), None)]
)
def test_find_map_layer__later_layers_may_have_more_information(last, name):
    net = nn.Sequential(nn.Conv2d(3, 8, 4, 4), last, nn.Flatten())

    # a pooling to a square is no map of a wide image, and no better layer either
    assert find_map_layer(net, lambda: net(torch.zeros(1, 3, 32, 64)), (32, 64)) == name


def test_class_target__of_an_overlapping_class_uses_its_threshold_and_the_sigmoid():
    task = label_task("segmentation", ("a", "b"), 4.0, thresholds=[0.75, 0.5])
    image = torch.full((1, 3, 4, 4), 0.5)
    # a logit of 2 is a probability of 0.88, and one of 1 is 0.73
    image[0, 0, 0], image[0, 0, 1] = 0.75, 0.625
    target = ClassTarget.of(task, image, 0)

    assert target.region.sum(1).tolist() == [4, 0, 0, 0]
    assert target.logit(image).item() == pytest.approx(2)
    task.temperature = 2.0
    assert target.probability(image).item() == pytest.approx(1 / (1 + np.exp(-1)))
