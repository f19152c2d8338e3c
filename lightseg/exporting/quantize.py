"""Static int8 quantization of ONNX files."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from onnx import ModelProto

OPERATORS = ("Conv", "Gemm", "MatMul", "Add", "Concat", "MaxPool", "AveragePool", "GlobalAveragePool", "Relu", "Clip")
"""Quantized operators: those with an int8 kernel, without normalization, softmax and indexing."""


def quantize(source: Path, destination: Path, images: Sequence[Tensor]) -> None:
    """Quantize an ONNX file statically: weights per channel to int8, activations to uint8 by their measured range.

    The last layer, which computes the logits, stays float: rounding logits costs most of the score.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", CVPR 2018, arXiv:1712.05877, section 2.1; by onnxruntime, as QuantizeLinear and DequantizeLinear.

    Args:
        source: An `.onnx` file of `write_onnx`.
        destination: The file to write.
        images: Images `(1, C, H, W)` uint8 to measure the ranges on.
    """
    import onnx
    from onnxruntime import quantization as ort  # type: ignore[import-untyped]
    from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

    with _silence_root_logger(), tempfile.TemporaryDirectory() as temporary:
        prepared = Path(temporary) / "prepared.onnx"
        # the trace already has the symbolic shapes
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        ort.quantize_static(
            prepared,
            destination,
            _calibration_reader(images),
            quant_format=ort.QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
            nodes_to_exclude=_last_weighted_node(onnx.load(prepared)),
            calibrate_method=ort.CalibrationMethod.MinMax,
        )
    _keep_metadata(source, destination, len(images))


def _calibration_reader(images: Sequence[Tensor]) -> object:
    """Return a reader that gives onnxruntime one image at a time."""
    from onnxruntime import quantization as ort

    class Reader(ort.CalibrationDataReader):  # type: ignore[misc]
        """Iterator over the inputs of the graph."""

        iterator = iter(images)

        def get_next(self) -> dict[str, object] | None:
            image = next(self.iterator, None)
            return None if image is None else {"image": image.numpy()}

    return Reader()


@contextmanager
def _silence_root_logger() -> Iterator[None]:
    """Silence onnxruntime, which recommends the preprocessing that has already run."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def _last_weighted_node(model: "ModelProto") -> list[str]:
    """Return the name of the last node with weights, in a list; empty if there is none."""
    weighted = [node.name for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return weighted[-1:]


def _keep_metadata(source: Path, destination: Path, images: int) -> None:
    """Copy the metadata of an ONNX file to its quantized file, which loses them."""
    import onnx

    model = onnx.load(destination)
    metadata = {entry.key: entry.value for entry in onnx.load(source).metadata_props}
    metadata["quantization"] = f"static int8, calibrated on {images} images"
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, destination)
