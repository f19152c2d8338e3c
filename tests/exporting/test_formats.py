"""Packages of ONNX, and files of torch.export."""

import json
import sys

import pytest
import torch

from lightseg.errors import ConfigError
from lightseg.exporting.formats import open_torch_export, require_onnx, write_torch_export
from lightseg.exporting.graph import InferenceGraph, trace
from lightseg.nets import SimpleCNN
from lightseg.tasks import ClassificationTask

# pytree's own, in torch.export of torch 2.15
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.parametrize("name", ["onnx", "onnxruntime", "onnxscript"])
def test_require_onnx__names_the_package_that_is_missing(monkeypatch, name):
    require_onnx()
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"^--format onnx needs {name}, which is not installed: pip install "):
        require_onnx()


def test_torch_export__holds_graph_and_metadata(tmp_path):
    task = ClassificationTask(SimpleCNN(2, image_size=16), ["a", "b"], mean=[0.5] * 3, std=[0.5] * 3).eval()
    write_torch_export(trace(task, (16, 16)), tmp_path / "net.pt2", {"classes": ["a", "b"], "size": (16, 16)})
    image = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    probabilities, classes = open_torch_export(tmp_path / "net.pt2")(image)
    expected = InferenceGraph(task)(image)
    torch.testing.assert_close(probabilities, expected[0].detach())
    assert torch.equal(classes, expected[1])
    extra_files = {"lightseg.json": ""}
    torch.export.load(tmp_path / "net.pt2", extra_files=extra_files)
    assert json.loads(extra_files["lightseg.json"]) == {"classes": ["a", "b"], "size": [16, 16]}
