"""Attributions of nets whose evidence is known, and the deletion test of good and bad maps."""

import numpy as np
import pytest
import torch
from torch import nn

from lightseg.explanation.attribution import ClassTarget, choose_method, find_map_layer
from lightseg.explanation.deletion import Deletion, faithfulness, is_faithful, measure_deletion
from lightseg.nets import FCN, Segmenter, SimpleCNN, SmpNet, TimmNet, TorchvisionNet, UNet
from lightseg.tasks import ClassificationTask, SegmentationTask

SIDE, PATCH = 48, 12


class Brightness(nn.Module):
    """Classifier by the brightness of the brightest window, within an optional mask."""

    def __init__(self, mask=None):
        super().__init__()
        self.features = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.features.weight, 1 / 3)
        self.mask = torch.ones(SIDE, SIDE) if mask is None else mask

    def forward(self, images):
        bright = self.features(images) * self.mask
        score = 40 * (nn.functional.avg_pool2d(bright, PATCH, PATCH).amax((1, 2, 3)) - 0.8)
        return torch.stack([-score, score], 1)


def build_task(net):
    task = ClassificationTask(net, ["no", "yes"], mean=[0.0] * 3, std=[1.0] * 3, channels_last=False)
    return task.eval()


def images(count=8):
    """Yield images with a bright patch on dark noise, `(1, 3, 48, 48)` uint8, and the region of the patch."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        image = rng.integers(0, 40, (3, SIDE, SIDE))
        row, column = PATCH * rng.integers(0, SIDE // PATCH, 2)
        region = np.s_[row : row + PATCH, column : column + PATCH]
        image[:, *region] = 250
        yield torch.from_numpy(image.astype(np.uint8))[None], region


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


def test_deletion__detects_random_and_opposite_maps():
    task, deletions = build_task(Brightness()), {"random": [], "opposite": []}
    for index, (image, _) in enumerate(images()):
        target = ClassTarget.of(task, image, 1)
        noise = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(index))
        deletions["random"].append(measure_deletion(target, noise, index))
        deletions["opposite"].append(measure_deletion(target, -image[0].float().mean(0), index))

    assert not is_faithful(deletions["random"])
    assert not is_faithful(deletions["opposite"])
    assert faithfulness(deletions["opposite"])[0] < 0


def test_deletion__constant_map_is_not_faithful():
    image = torch.full((1, 3, SIDE, SIDE), 10, dtype=torch.uint8)
    # ties must not be broken in reading order
    image[..., :PATCH, :PATCH] = 250
    target = ClassTarget.of(build_task(Brightness()), image, 1)
    deletions = [measure_deletion(target, torch.zeros(SIDE, SIDE), seed) for seed in range(12)]

    assert not is_faithful(deletions)


def test_deletion__detects_a_map_of_a_decoy():
    # the net depends on the top left only, but its features do not
    mask = torch.zeros(SIDE, SIDE)
    mask[:PATCH, :PATCH] = 1
    task, deletions = build_task(Brightness(mask)), []
    for index in range(8):
        image = torch.full((1, 3, SIDE, SIDE), 10, dtype=torch.uint8)
        image[..., :PATCH, :PATCH] = 240
        image[..., PATCH * 2 :, :] = 255
        target = ClassTarget.of(task, image, 1)
        deletions.append(measure_deletion(target, choose_method(task, image)[1](target), index))

    assert all(deletion.most[1] > 0.99 for deletion in deletions)
    assert not is_faithful(deletions)


def test_faithfulness__needs_several_images():
    deletion = Deletion(1.0, np.zeros(4), np.ones(4), np.full(4, 0.5))

    assert faithfulness([deletion] * 8)[0] == pytest.approx(0.5)
    assert is_faithful([deletion] * 8)
    assert not is_faithful([deletion] * 3)


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
