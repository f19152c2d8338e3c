"""Model card with the front matter of the Hugging Face Hub."""

import math
import re
from typing import Any

import yaml

from lightseg.exporting.options import describe_sizes
from lightseg.files.printable import printable_line
from lightseg.metrics.absent_classes import describe_absent

_LOW = 0.5
"""IoU (or recall) below which a class is listed among the limitations."""

_ENTITIES = {ord(character): f"&#{ord(character)};" for character in "&<|`["}
"""Escapes of characters that would start a tag, a cell, code or a link in Markdown."""


def write(name: str, metadata: dict[str, Any], records: dict[str, Any]) -> str:
    """Return the text of `README.md`.

    Args:
        name: Name of the model.
        metadata: Metadata from `collect_metadata`.
        records: Content of `parity.json`: a record for each exported file.
    """
    parts = [
        _front_matter(name, metadata),
        f"# {_text(name)}\n\n{_summary(metadata)}",
        _usage(records),
        _classes(metadata),
        _limitations(metadata, records),
        _parity(records),
        _benchmarks(records),
        _data(metadata),
        _lineage(metadata),
        f"## Recipe\n\n{_fenced(yaml.safe_dump(metadata['recipe']['config'], sort_keys=False))}",
    ]
    return "\n".join(part for part in parts if part)


def _front_matter(name: str, metadata: dict[str, Any]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    task, dataset = f"image-{metadata['kind']}", _dataset(metadata)
    results = []
    if metadata["score"] is not None:
        metric = _metric(metadata)
        results = [
            EvalResult(
                task_type=task,
                dataset_type=dataset.lower(),
                dataset_name=dataset,
                dataset_split=metadata["split"],
                metric_type="mean_iou" if metric == "mIoU" else metric,
                metric_name=metric,
                metric_value=round(metadata["score"], 6),
            )
        ]
    content = ModelCardData(
        library_name="lightseg",
        license=metadata["licence"],
        pipeline_tag=task,
        tags=["lightseg", metadata["kind"], metadata["net"].lower()],
        model_name=name,
        eval_results=results or None,
    )
    return f"---\n{content.to_yaml()}\n---\n"


_METRICS = {
    "segmentation": ("mIoU", "iou"),
    "classification": ("accuracy", "recall"),
    "multilabel_segmentation": ("mIoU", "iou"),
    "multilabel_classification": ("macro F1", "f1"),
}
"""Names of the score and of the scores of classes, by kind of the scores."""


def _metric(metadata: dict[str, Any]) -> str:
    name, _ = _METRICS[metadata["score_kind"]]
    return name


def _dataset(metadata: dict[str, Any]) -> str:
    name: str = metadata["recipe"]["config"]["data"]["class_path"].rpartition(".")[2]
    return name


def _summary(metadata: dict[str, Any]) -> str:
    net, dataset = _text(metadata["net"]), _text(_dataset(metadata))
    summary = (
        f"{net} with {metadata['parameters']:,} parameters for {metadata['kind']} into {len(metadata['classes'])} "
        f"classes, trained by lightseg {metadata['lightseg']} on {dataset}"
    )
    if metadata["score"] is None:
        return f"{summary}. Not scored: the run is not finished.\n"
    split, score = metadata["split"], f"{_metric(metadata)} {metadata['score']:.4f}"
    over = f" of {metadata['images']} images" if metadata["images"] else ""
    protocol = f"; protocol: {_text(metadata['protocol'])}" if metadata["protocol"] else ""
    return f"{summary}: **{score}** on its {split} split{over}{protocol}.\n"


def _usage(records: dict[str, Any]) -> str:
    """Return a code example for each exported file."""
    lines = ["## Use", ""]
    if "model.safetensors" in records:
        lines += ["```python", "import lightseg", "", 'task = lightseg.load(".")  # or hf://USER/REPO, on the Hub']
        lines += ['classes = task.predict("image.png")', "```", ""]
    if "model.onnx" in records:
        lines += ["```python", "import onnxruntime", "", 'session = onnxruntime.InferenceSession("model.onnx")']
        lines += [
            'probabilities, classes = session.run(None, {"image": images})  # array (N, C, H, W) uint8',
            "```",
            "",
        ]
    if "model.pt2" in records:
        lines += ["```python", "import torch", "", 'module = torch.export.load("model.pt2").module()']
        lines += ["probabilities, classes = module(images)  # tensor (N, C, H, W) uint8", "```", ""]
    return "\n".join(lines)


def _classes(metadata: dict[str, Any]) -> str:
    metric = _class_metric(metadata)
    lines = [f"## Classes\n\n| id | class | colour | {metric} |", "|---|---|---|---|"]
    for index, (name, color) in enumerate(zip(metadata["classes"], metadata["palette"], strict=True)):
        code = f"`#{color[0]:02x}{color[1]:02x}{color[2]:02x}`"
        score = metadata["scores"].get(f"{metric}/{name}")
        is_absent = name in metadata["absent"]
        cell = describe_absent(math.nan if score is None else score) if is_absent else _number(score)
        lines.append(f"| {index} | {_text(name)} | {code} | {cell} |")
    others = [(_text(name), value) for name, value in metadata["scores"].items() if not name.startswith(f"{metric}/")]
    if others:
        lines += ["", "| score | value |", "|---|---|", *[f"| {name} | {_number(value)} |" for name, value in others]]
    return "\n".join(lines) + "\n"


def _class_metric(metadata: dict[str, Any]) -> str:
    _, name = _METRICS[metadata["score_kind"]]
    return name


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.4f}"


def _limitations(metadata: dict[str, Any], records: dict[str, Any]) -> str:
    scores = {name: metadata["scores"].get(f"{_class_metric(metadata)}/{name}") for name in metadata["classes"]}
    valid_scores = {name: value for name, value in scores.items() if name not in metadata["absent"]}
    low = [f"{_text(name)} ({value:.2f})" for name, value in valid_scores.items() if value is not None and value < _LOW]
    unscored = [name for name in scores if metadata["score"] is not None and _number(valid_scores.get(name)) == ""]
    what = {"iou": "IoU", "f1": "F1"}.get(_class_metric(metadata), "recall")
    lines = [f"* Classes with a low {what}: {', '.join(low)}."] if low else []
    if unscored:
        lines.append(f"* Not scored, since the {metadata['split']} split has none: {', '.join(map(_text, unscored))}.")
    lines += [
        f"* `{name}` takes {describe_sizes(record['size'], record['smallest'])}." for name, record in records.items()
    ]
    if metadata["eval_transforms"]:
        first = ", ".join(_code(call) for call in metadata["eval_transforms"])
        lines.append(
            f"* It was scored on images after {first}; lightseg does that by itself, a graph does not hold it."
        )
    lines.append(f"* Its scores hold for images like those of {_text(_dataset(metadata))}; nothing is known of others.")
    if metadata["licence"] is None:
        lines.append("* No licence is stated.")
    return "\n".join(["## Limitations", "", *lines, ""])


def _parity(records: dict[str, Any]) -> str:
    lines = ["## Checked against torch", ""]
    lines += ["| file | on | images | largest difference of a probability | classes that agree | loss of score |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, record in records.items():
        lines.append(_parity_row(name, record["checked_on"], record))
        if odd := record.get("odd_size"):
            lines.append(_parity_row(name, f"{odd['size'][0]} × {odd['size'][1]} pixels", odd))
        if int8 := record.get("int8"):
            lines.append(_parity_row(int8["file"], record["checked_on"], int8))
    return "\n".join(lines) + "\n"


def _parity_row(name: str, source: str, record: dict[str, Any]) -> str:
    loss = "" if record["score"] is None else f"{record['loss']:.1e}"
    agreement = f"{100 * record['agreement']:.4f} %"
    return f"| `{name}` | {source} | {record['images']} | {record['max_difference']:.1e} | {agreement} | {loss} |"


def _benchmarks(records: dict[str, Any]) -> str:
    lines: list[str] = []
    for record in records.values():
        if benchmark := record.get("benchmark"):
            lines += [
                f"{benchmark['device']}, {benchmark['threads']} threads; one image at a time, and "
                f"{benchmark['throughput']}.",
                "",
            ]
            lines += [
                "| runtime | height × width | latency | frames/s | images/s in batches |",
                "|---|---|---|---|---|",
            ]
            for row in benchmark["timings"]:
                size = f"{row['height']} × {row['width']}"
                speed = f"{row['latency_ms']:.1f} ms | {row['frames_per_second']:.1f} | {row['throughput']:.1f}"
                lines.append(f"| {row['runtime']} | {size} | {speed} |")
            lines.append("")
    return "\n".join(["## Speed", "", *lines]) if lines else ""


def _data(metadata: dict[str, Any]) -> str:
    lines = ["## Data", "", "| split | samples | sha256 |", "|---|---|---|"]
    lines += [
        f"| {_text(split)} | {split_data['samples']} | `{_text(split_data['sha256'][:16])}…` |"
        for split, split_data in metadata["data"].items()
    ]
    mean, std = ([round(value, 4) for value in metadata[name]] for name in ("mean", "std"))
    lines += ["", f"Input: {metadata['input']}; mean {mean} and std {std} on the 0..1 scale are applied inside."]
    lines += [f"Weights: {_code(metadata['checkpoint']['file'])}, sha256 `{metadata['checkpoint']['sha256']}`."]
    return "\n".join(lines) + "\n"


def _lineage(metadata: dict[str, Any]) -> str:
    """Return what the training started from and learned from, and which part of it was trained; empty if all is new."""
    lineage, lines = metadata["recipe"].get("lineage") or {}, list[str]()
    if init := lineage.get("init"):
        lines.append(f"* Its training started from the weights of {_origin(init)}.")
    if run := lineage.get("extend"):
        moment = f"epoch {run['epoch']}, step {run['step']}"
        lines.append(f"* Its training goes on with that of {_origin(run)}, after {moment}.")
    if lora := lineage.get("lora"):
        layers = ", ".join(map(_code, lora["targets"]))
        lines.append(
            f"* Of its encoder, only low-rank adapters (LoRA) of rank {lora['rank']} on {layers} were trained; they "
            "are merged into its layers."
        )
    lines += [f"* It learned from its teacher {_origin(record)}." for record in metadata["recipe"].get("teacher", [])]
    return "\n".join(["## Origin", "", *lines, ""]) if lines else ""


def _origin(record: dict[str, Any]) -> str:
    return f"{_text(record['run'])} ({_code(record['file'])}, sha256 `{_text(record['sha256'])}`)"


def _text(value: object) -> str:
    """Return a text of the run escaped for Markdown, in one line, also for the cells of a table."""
    return printable_line(str(value)).translate(_ENTITIES)


def _code(value: object) -> str:
    """Return a text of the run as inline code; backticks, which cannot be escaped there, become quotes."""
    code = printable_line(str(value)).replace("`", "'")
    return f"`{code}`"


def _fenced(text: str) -> str:
    """Return a YAML block between fences that are longer than any in the text."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`*", text)))
    return f"{fence}yaml\n{text}{fence}\n"
