"""Writers and runtimes of the graph formats, ONNX and torch.export."""

import importlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lightseg.checkpoint.safetensors import as_texts
from lightseg.errors import ConfigError
from lightseg.exporting.graph import OUTPUTS, Traced

Predict: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Function from uint8 images to probabilities and classes, as `InferenceGraph`."""

ONNX, INT8, TORCH_EXPORT = "model.onnx", "model.int8.onnx", "model.pt2"


def require_onnx() -> None:
    """Check that the packages for ONNX are installed.

    Raises:
        ConfigError: If one is not.
    """
    for name in ("onnx", "onnxruntime", "onnxscript"):
        try:
            importlib.import_module(name)
        except ImportError:
            raise ConfigError(
                f"--format onnx needs {name}, which is not installed: pip install 'lightseg[onnx]'"
            ) from None


def write_onnx(traced: Traced, file: Path, metadata: dict[str, Any]) -> None:
    """Write an `.onnx` file.

    Args:
        traced: The traced graph.
        file: The file to write.
        metadata: Plain data, which becomes the file's metadata as texts.
    """
    with _silence_exporter():
        program = torch.onnx.export(
            traced.program, dynamo=True, input_names=["image"], output_names=list(OUTPUTS), verbose=False
        )
    # it is None with the legacy exporter only
    assert program is not None
    names = [str(side) for side in program.model.graph.inputs[0].shape or []]
    axes = zip(names, ("batch", None, "height", "width"), strict=True)
    program.rename_axes({symbol: name for symbol, name in axes if name and not symbol.isdigit()})
    program.model.metadata_props.update(as_texts(metadata))
    program.model.producer_name, program.model.producer_version = "lightseg", metadata["lightseg"]
    program.save(file)


def open_onnx(file: Path) -> Predict:
    """Return a function that runs an `.onnx` file with onnxruntime on the CPU, on as many threads as torch uses."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # errors only, since it warns about the output of its own quantizer
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def predict(image: Tensor) -> tuple[Tensor, Tensor]:
        probabilities, classes = session.run(list(OUTPUTS), {"image": image.numpy()})
        return torch.from_numpy(probabilities), torch.from_numpy(classes)

    return predict


def write_torch_export(traced: Traced, file: Path, metadata: dict[str, Any]) -> None:
    """Write a `.pt2` file.

    Args:
        traced: The traced graph.
        file: The file to write.
        metadata: Plain data, stored as the extra file `lightseg.json` of `torch.export.load`.
    """
    content = io.BytesIO()
    # in memory first, since torch.export.save may terminate the process on a full disk
    torch.export.save(traced.program, content, extra_files={"lightseg.json": json.dumps(metadata)})
    file.write_bytes(content.getbuffer())


def open_torch_export(file: Path) -> Predict:
    """Return a function that runs a `.pt2` file with torch."""
    module = torch.export.load(file).module()

    def predict(image: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            probabilities, classes = module(image)
        return probabilities, classes

    return predict


GRAPHS = {"onnx": (write_onnx, open_onnx), "torch_export": (write_torch_export, open_torch_export)}
"""Writer and runtime of each graph format."""


@contextmanager
def _silence_exporter() -> Iterator[None]:
    """Silence the warnings of torch's exporter; the parity check finds wrong graphs."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
