import onnxruntime
import pytest
import torch
from torch import nn

from lightseg.exporting.formats import open_onnx, open_torch_export, write_onnx, write_torch_export
from lightseg.exporting.graph import InferenceGraph, trace
from lightseg.nets import SimpleCNN, SmpNet
from lightseg.tasks import ClassificationTask, SegmentationTask

PLAIN = {"mean": [0.2, 0.3, 0.4], "std": [0.5, 0.25, 0.125]}
FACTS = {"lightseg": "0", "classes": ["a", "b", "c"]}


class Quarter(nn.Module):
    """Logits at half of the resolution, from sides that must be multiples of 4."""

    stride = 4

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return 9 * self.conv(nn.functional.max_pool2d(x, 2))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_graph__is_the_softmax_of_the_task(temperature):
    task = SegmentationTask(Quarter(), FACTS["classes"], **PLAIN).eval()
    task.temperature = temperature
    image = torch.randint(0, 256, (2, 3, 9, 13), dtype=torch.uint8)
    probabilities, classes = InferenceGraph(task)(image)
    assert torch.equal(probabilities, torch.softmax(task(image) / temperature, 1))
    assert torch.equal(classes, task(image).argmax(1).to(torch.uint8))


def _assert_same(result, expected):
    """Require probabilities that are equal to 1e-5, and equal classes where the two likeliest are not that near."""
    torch.testing.assert_close(result[0], expected[0].detach(), rtol=0, atol=1e-5)
    first, second = expected[0].topk(2, 1).values.unbind(1)
    is_clear = first - second > 1e-4
    assert torch.equal(result[1][is_clear], expected[1][is_clear])


def test_onnx__any_batch_and_size_from_one_pixel_on(tmp_path):
    task = SegmentationTask(Quarter(), FACTS["classes"], **PLAIN).eval()
    traced = trace(task, (64, 64))
    assert traced.size is None
    write_onnx(traced, tmp_path / "net.onnx", FACTS)
    predict = open_onnx(tmp_path / "net.onnx")
    for shape in [(1, 37, 61), (3, 37, 61), (2, 1, 1), (1, 2, 9), (1, 64, 64)]:
        image = torch.randint(0, 256, (shape[0], 3, *shape[1:]), dtype=torch.uint8)
        _assert_same(predict(image), InferenceGraph(task)(image))
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert session.get_modelmeta().custom_metadata_map["classes"] == '["a", "b", "c"]'


def test_torch_export__any_batch_and_size_above_a_stride(tmp_path):
    task = SegmentationTask(Quarter(), FACTS["classes"], **PLAIN).eval()
    traced = trace(task, (64, 64))
    write_torch_export(traced, tmp_path / "net.pt2", FACTS)
    predict = open_torch_export(tmp_path / "net.pt2")
    for shape in [(1, 37, 61), (3, 64, 64), (2, *traced.smallest)]:
        image = torch.randint(0, 256, (shape[0], 3, *shape[1:]), dtype=torch.uint8)
        _assert_same(predict(image), InferenceGraph(task)(image))
    facts = {"lightseg.json": ""}
    torch.export.load(tmp_path / "net.pt2", extra_files=facts)
    assert '"classes": ["a", "b", "c"]' in facts["lightseg.json"]


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
