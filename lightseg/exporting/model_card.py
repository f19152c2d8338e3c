"""Model card: what a person should know before using a model, and the front matter that the Hub reads."""

import math
import re
from typing import Any

import yaml

from lightseg.exporting.options import taken
from lightseg.files.printable import printable_line

_LOW = 0.5
"""Below this IoU (or recall) a class is named as one to be careful with."""

_ENTITIES = {ord(character): f"&#{ord(character)};" for character in "&<|`["}
"""Characters by which a name would become a tag, a cell, code or a link."""


def write(name: str, facts: dict[str, Any], records: dict[str, Any]) -> str:
    """Return the text of `README.md`.

    Args:
        name: What to call the model.
        facts: What `collect_metadata` found.
        records: What `parity.json` holds: a record for each exported file.
    """
    parts = [
        _front_matter(name, facts),
        f"# {_text(name)}\n\n{_summary(facts)}",
        _usage(records),
        _classes(facts),
        _limitations(facts, records),
        _parity(records),
        _benchmarks(records),
        _data(facts),
        f"## Recipe\n\n{_fenced(yaml.safe_dump(facts['recipe']['config'], sort_keys=False))}",
    ]
    return "\n".join(part for part in parts if part)


def _front_matter(name: str, facts: dict[str, Any]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    task, dataset = f"image-{facts['kind']}", _dataset(facts)
    results = []
    if facts["score"] is not None:
        metric = _metric(facts)
        results = [
            EvalResult(
                task_type=task,
                dataset_type=dataset.lower(),
                dataset_name=dataset,
                dataset_split=facts["split"],
                metric_type="mean_iou" if metric == "mIoU" else metric,
                metric_name=metric,
                metric_value=round(facts["score"], 6),
            )
        ]
    content = ModelCardData(
        library_name="lightseg",
        license=facts["licence"],
        pipeline_tag=task,
        tags=["lightseg", facts["kind"], facts["net"].lower()],
        model_name=name,
        eval_results=results or None,
    )
    return f"---\n{content.to_yaml()}\n---\n"


def _metric(facts: dict[str, Any]) -> str:
    return "mIoU" if facts["kind"] == "segmentation" else "accuracy"


def _dataset(facts: dict[str, Any]) -> str:
    name: str = facts["recipe"]["config"]["data"]["class_path"].rpartition(".")[2]
    return name


def _summary(facts: dict[str, Any]) -> str:
    net, dataset = _text(facts["net"]), _text(_dataset(facts))
    sentence = (
        f"{net} with {facts['parameters']:,} parameters for {facts['kind']} into {len(facts['classes'])} "
        f"classes, trained by lightseg {facts['lightseg']} on {dataset}"
    )
    if facts["score"] is None:
        return f"{sentence}. Not scored: the run is not finished.\n"
    over = f" of {facts['images']} images" if facts["images"] else ""
    protocol = f"; protocol: {_text(facts['protocol'])}" if facts["protocol"] else ""
    return f"{sentence}: **{_metric(facts)} {facts['score']:.4f}** on its {facts['split']} split{over}{protocol}.\n"


def _usage(records: dict[str, Any]) -> str:
    """Two lines for each file that is there."""
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


def _classes(facts: dict[str, Any]) -> str:
    part = _part(facts)
    lines = [f"## Classes\n\n| id | class | colour | {part} |", "|---|---|---|---|"]
    for index, (name, color) in enumerate(zip(facts["classes"], facts["palette"], strict=True)):
        code = f"`#{color[0]:02x}{color[1]:02x}{color[2]:02x}`"
        lines.append(f"| {index} | {_text(name)} | {code} | {_number(facts['scores'].get(f'{part}/{name}'))} |")
    others = [(_text(name), value) for name, value in facts["scores"].items() if not name.startswith(f"{part}/")]
    if others:
        lines += ["", "| score | value |", "|---|---|", *[f"| {name} | {_number(value)} |" for name, value in others]]
    return "\n".join(lines) + "\n"


def _part(facts: dict[str, Any]) -> str:
    return "iou" if facts["kind"] == "segmentation" else "recall"


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.4f}"


def _limitations(facts: dict[str, Any], records: dict[str, Any]) -> str:
    scores = {name: facts["scores"].get(f"{_part(facts)}/{name}") for name in facts["classes"]}
    low = [f"{_text(name)} ({value:.2f})" for name, value in scores.items() if value is not None and value < _LOW]
    absent = [_text(name) for name, value in scores.items() if facts["score"] is not None and _number(value) == ""]
    what = "IoU" if facts["kind"] == "segmentation" else "recall"
    lines = [f"* Classes with a low {what}: {', '.join(low)}."] if low else []
    lines += [f"* Not scored, since the {facts['split']} split has none: {', '.join(absent)}."] if absent else []
    lines += [f"* `{name}` takes {taken(record['size'], record['smallest'])}." for name, record in records.items()]
    if facts["eval_transforms"]:
        first = ", ".join(_code(call) for call in facts["eval_transforms"])
        lines.append(
            f"* It was scored on images after {first}; lightseg does that by itself, a graph does not hold it."
        )
    lines.append(f"* Its scores hold for images like those of {_text(_dataset(facts))}; nothing is known of others.")
    if facts["licence"] is None:
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
        if timed := record.get("benchmark"):
            lines += [
                f"{timed['device']}, {timed['threads']} threads; one image at a time, and {timed['throughput']}.",
                "",
            ]
            lines += [
                "| runtime | height × width | latency | frames/s | images/s in batches |",
                "|---|---|---|---|---|",
            ]
            for row in timed["timings"]:
                size = f"{row['height']} × {row['width']}"
                speed = f"{row['latency_ms']:.1f} ms | {row['frames_per_second']:.1f} | {row['throughput']:.1f}"
                lines.append(f"| {row['runtime']} | {size} | {speed} |")
            lines.append("")
    return "\n".join(["## Speed", "", *lines]) if lines else ""


def _data(facts: dict[str, Any]) -> str:
    lines = ["## Data", "", "| split | samples | sha256 |", "|---|---|---|"]
    lines += [
        f"| {_text(split)} | {is_['samples']} | `{_text(is_['sha256'][:16])}…` |"
        for split, is_ in facts["data"].items()
    ]
    mean, std = ([round(value, 4) for value in facts[name]] for name in ("mean", "std"))
    lines += ["", f"Input: {facts['input']}; mean {mean} and std {std} on the 0..1 scale are applied inside."]
    lines += [f"Weights: {_code(facts['checkpoint']['file'])}, sha256 `{facts['checkpoint']['sha256']}`."]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    """Return a text of the run as Markdown that shows it, in one line, also in the cell of a table."""
    return printable_line(str(value)).translate(_ENTITIES)


def _code(value: object) -> str:
    """Return the same as code, in which nothing can be escaped."""
    text = printable_line(str(value)).replace("`", "'")
    return f"`{text}`"


def _fenced(text: str) -> str:
    """YAML between fences that are longer than any in it."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`*", text)))
    return f"{fence}yaml\n{text}{fence}\n"
