"""Eight-bit integers instead of floats, which most processors multiply several times as fast."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from onnx import ModelProto

OPERATORS = ("Conv", "Gemm", "MatMul", "Add", "Concat", "MaxPool", "AveragePool", "GlobalAveragePool", "Relu", "Clip")
"""What is quantised: what has a kernel for it. Normalisation and softmax are not among them, nor are indices."""


def quantize(source: Path, destination: Path, images: Sequence[Tensor]) -> None:
    """Quantise an ONNX file statically: weights per channel as int8, activations as uint8 by the range that they have.

    The last convolution, whose outputs are the logits, stays as it is: rounding them is what costs a score most.

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

    class Reader(ort.CalibrationDataReader):  # type: ignore[misc]
        """Hands the images over one by one."""

        rest = iter(images)

        def get_next(self) -> dict[str, object] | None:
            image = next(self.rest, None)
            return None if image is None else {"image": image.numpy()}

    root = logging.getLogger()
    level = root.level
    # it advises the step that has just been made
    root.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as place:
            prepared = Path(place) / "prepared.onnx"
            # shapes that are symbols are known already, from the trace
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            ort.quantize_static(
                prepared,
                destination,
                Reader(),
                quant_format=ort.QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                per_channel=True,
                activation_type=ort.QuantType.QUInt8,
                weight_type=ort.QuantType.QInt8,
                nodes_to_exclude=_last(onnx.load(prepared)),
                calibrate_method=ort.CalibrationMethod.MinMax,
            )
    finally:
        root.setLevel(level)
    _keep_metadata(source, destination, len(images))


def _last(model: "ModelProto") -> list[str]:
    """Return the name of the last node with weights."""
    weighted = [node.name for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return weighted[-1:]


def _keep_metadata(source: Path, destination: Path, images: int) -> None:
    import onnx

    model = onnx.load(destination)
    facts = {entry.key: entry.value for entry in onnx.load(source).metadata_props}
    facts["quantization"] = f"static int8, calibrated on {images} images"
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, destination)
