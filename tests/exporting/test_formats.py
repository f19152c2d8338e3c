"""Files of the graph formats, and their packages."""

import sys

import onnxruntime
import pytest
import torch

from lightseg.errors import ConfigError
from lightseg.exporting.formats import open_onnx, open_torch_export, require_onnx, write_onnx, write_torch_export
from lightseg.exporting.graph import InferenceGraph, trace
from lightseg.tasks import SegmentationTask
from tests.exporting.fabricate import FACTS, PLAIN, Quarter


@pytest.mark.parametrize("name", ["onnx", "onnxruntime", "onnxscript"])
def test_require_onnx__names_the_package_that_is_missing(monkeypatch, name):
    require_onnx()
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"^--format onnx needs {name}, which is not installed: pip install "):
        require_onnx()


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
