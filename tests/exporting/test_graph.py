"""Graphs of tasks: probabilities and classes, for any size."""

import pytest
import torch

from lightseg.exporting.graph import InferenceGraph, trace
from lightseg.nets import SimpleCNN, SmpNet
from lightseg.tasks import ClassificationTask, SegmentationTask
from tests.exporting.fabricate import FACTS, PLAIN, Quarter


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_graph__is_the_softmax_of_the_task(temperature):
    task = SegmentationTask(Quarter(), FACTS["classes"], **PLAIN).eval()
    task.temperature = temperature
    image = torch.randint(0, 256, (2, 3, 9, 13), dtype=torch.uint8)
    probabilities, classes = InferenceGraph(task)(image)
    assert torch.equal(probabilities, torch.softmax(task(image) / temperature, 1))
    assert torch.equal(classes, task(image).argmax(1).to(torch.uint8))


def test_trace__a_net_of_one_size_has_any_batch():
    task = ClassificationTask(SimpleCNN(3, image_size=16), FACTS["classes"], **PLAIN).eval()
    traced = trace(task, (16, 16))
    assert traced.size == (16, 16)
    image = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    probabilities, classes = traced.program.module()(image)
    assert probabilities.shape == (5, 3)
    assert torch.equal(classes, task(image).argmax(1).to(torch.uint8))


@pytest.mark.slow
def test_trace__padding_by_a_formula_of_the_size_is_fixed_and_the_task_is_left_alone():
    net = SmpNet(3, arch="fpn", encoder="tu-tf_efficientnet_lite0")
    task = SegmentationTask(net, FACTS["classes"], **PLAIN).eval()
    before = [name for name, _ in task.named_modules()]
    traced = trace(task, (64, 64))
    assert [name for name, _ in task.named_modules()] == before
    image = torch.randint(0, 256, (3, 3, 37, 61), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(traced.program.module()(image)[0], InferenceGraph(task)(image)[0])
