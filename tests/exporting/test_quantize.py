"""Static quantization of an ONNX file."""

import logging

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from lightseg.exporting.quantize import quantize

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def model(tmp_path):
    """Write a net of two convolutions of uint8 images."""
    random = np.random.default_rng(0)
    weights = [random.normal(size=shape).astype(np.float32) for shape in ((4, 3, 3, 3), (2, 4, 1, 1))]
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Conv", ["float", "first"], ["hidden"], "hidden", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["hidden"], ["active"], "relu"),
        helper.make_node("Conv", ["active", "second"], ["logits"], "last"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2, 8, 8])],
        [numpy_helper.from_array(weight, name) for weight, name in zip(weights, ("first", "second"), strict=True)],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(content, {"classes": "a, b"})
    onnx.save(content, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_quantize__all_layers_but_the_last_and_keeps_the_metadata(model, tmp_path):
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8, generator=generator) for _ in range(3)]
    level = logging.getLogger().level
    quantize(model, tmp_path / "int8.onnx", images)

    assert logging.getLogger().level == level
    content = onnx.load(tmp_path / "int8.onnx")
    assert {entry.key: entry.value for entry in content.metadata_props} == {
        "classes": "a, b",
        "quantization": "static int8, calibrated on 3 images",
    }
    weights = {tensor.name: tensor.data_type for tensor in content.graph.initializer}
    assert TensorProto.INT8 in [kind for name, kind in weights.items() if name.startswith("first")]
    assert weights["second"] == TensorProto.FLOAT
    plain, quantized = (_run(path, images[0]) for path in (model, tmp_path / "int8.onnx"))
    assert 0 < np.abs(plain - quantized).max() < 0.05 * np.abs(plain).max()


def _run(path, image):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image.numpy()})[0]
