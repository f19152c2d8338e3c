"""Deletion test of good and bad maps."""

import numpy as np
import pytest
import torch

from lightseg.explanation.attribution import ClassTarget, choose_method
from lightseg.explanation.deletion import Deletion, faithfulness, is_faithful, measure_deletion
from tests.explanation.known_evidence import PATCH, SIDE, Brightness, build_task, images


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
