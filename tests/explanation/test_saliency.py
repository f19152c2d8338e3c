"""Choice of the images for attributions, and their deletion test."""

from types import SimpleNamespace

import numpy as np
import pytest

from lightseg.explanation.collect import collect
from lightseg.explanation.gallery import Gallery
from lightseg.explanation.saliency import choose, compute_saliency
from tests.explanation.fabricate import Data, LabelData, Oracle, discs, label_image, label_task
from tests.explanation.known_evidence import Brightness, build_task, images

CLASSES = ("ground", "disc", "square")


def test_choose__classes_by_turns():
    observations = collect(Oracle("segmentation", CLASSES), Data(*discs(30), CLASSES), "test")
    chosen = choose(observations)

    assert len(chosen) == len({index for index, _ in chosen}) == 12
    # the ground is more than half of all images
    assert {label for _, label in chosen} == {1, 2}
    assert [label for _, label in chosen[:4]] == [1, 2, 1, 2]


def test_choose__of_class_ids_each_prediction_is_a_candidate():
    labels = [0, 1, 1, 2, 0]
    pictures = [np.zeros((4, 4, 3), np.uint8)] * 5
    observations = collect(Oracle("classification", CLASSES), Data(pictures, labels, CLASSES), "test")

    assert choose(observations) == [(0, 0), (1, 1), (3, 2), (4, 0), (2, 1)]


def test_compute_saliency__tests_all_and_shows_some():
    pytest.importorskip("captum")
    task = build_task(Brightness())
    pictures = [image[0].permute(1, 2, 0).numpy() for image, _ in images(4)]
    data = Data(pictures, [1] * 4, task.classes)
    saliency = compute_saliency(collect(task, data, "test"), Gallery(task, data, "test"), 2)

    assert (len(saliency.groups), len(saliency.deletions)) == (2, 4)
    assert [picture.caption for picture in saliency.groups[0].pictures] == ["<0>.png", "evidence for yes"]
    assert saliency.groups[0].title == "yes"
    assert saliency.groups[0].remark.startswith("probability 100 %, of which 0 % remains when the 20 % of the image")


def test_compute_saliency__none_where_a_class_fills_every_image():
    masks = [np.zeros((8, 8), np.uint8)] * 2
    data = Data([np.zeros((8, 8, 3), np.uint8)] * 2, masks, CLASSES)
    task = Oracle("segmentation", CLASSES)

    assert compute_saliency(collect(task, data, "test"), SimpleNamespace(task=task), 2) is None


def test_choose__of_overlapping_classes_both_may_be_shown_in_turn():
    masks = np.zeros((4, 2, 16, 16), np.uint8)
    # the first class fills the last image, in which the second one is
    masks[:, 0, :4], masks[:2, 1, 2:6], masks[3] = 1, 1, [np.ones((16, 16)), np.eye(16)]
    task = label_task("segmentation", ("road", "car"))
    data = LabelData([label_image(mask) for mask in masks], [mask.transpose(1, 2, 0) for mask in masks], task.classes)
    observations = collect(task, data, "test")
    chosen = choose(observations)
    assert chosen == [(0, 0), (1, 1), (2, 0), (3, 1)]
    pytest.importorskip("captum")
    saliency = compute_saliency(observations, Gallery(task, data, "test"), 4)
    assert [group.title for group in saliency.groups] == ["road", "car", "road", "car"]
    assert min(deletion.probability for deletion in saliency.deletions) > 0.99
