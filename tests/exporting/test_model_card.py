"""Model card of a run of unknown origin."""

import yaml

from lightseg.exporting import model_card

NASTY = "<img src=x>|`a`[b](c)\x1b[2J\nd"
CONFIG = {"data": {"class_path": f"lightseg.{NASTY}"}, "note": "a\n```\n<img src=x>\n````\n"}
FACTS = {
    "kind": "segmentation",
    "score_kind": "segmentation",
    "classes": [NASTY, "traffic_light"],
    "palette": [(0, 0, 0), (1, 2, 3)],
    "licence": None,
    "split": "test",
    "score": 0.3,
    "scores": {f"iou/{NASTY}": 0.1, "iou/traffic_light": 0.5, f"other/{NASTY}": 0.2},
    "absent": [],
    "protocol": NASTY,
    "images": 4,
    "data": {"test": {"samples": 4, "sha256": NASTY}},
    "input": "image",
    "eval_transforms": [f"albumentations.Resize({NASTY!r})"],
    "mean": [0.5],
    "std": [0.5],
    "net": "UNet",
    "parameters": 5,
    "checkpoint": {"file": NASTY, "sha256": "5ha"},
    "recipe": {"config": CONFIG},
    "lightseg": "0",
}


def test_write__names_are_text_and_nothing_else():
    _, front, text = model_card.write(NASTY, FACTS, {}).split("---\n", 2)
    assert "model-index" in yaml.safe_load(front)
    text, recipe = text.split("## Recipe\n\n")
    assert "\x1b" not in text
    # what is code is shown as it is
    assert "<img" not in "".join(text.split("`")[::2])
    assert "[b]" not in "".join(text.split("`")[::2])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    classes = rows[: rows.index("| score | value |")]
    assert [line.count("|") for line in classes] == [5] * 4
    assert "| 1 | traffic_light | `#010203` | 0.5000 |" in classes
    first, *lines, last = recipe.splitlines()
    assert (first, last) == ("`````yaml", "`````")
    assert yaml.safe_load("\n".join(lines)) == CONFIG


def test_write__a_class_that_the_truth_lacks_has_no_score():
    scores = {"iou/a": 0.75, "iou/b": 0.0, "iou/c": None, "iou/d": 0.0}
    facts = {**FACTS, "classes": list("abcd"), "palette": 4 * [(0, 0, 0)], "scores": scores, "absent": ["b", "c"]}
    text = model_card.write("x", facts, {})
    cells = [
        line.split(" | ")[-1] for line in text.splitlines() if line.startswith(tuple(f"| {i} |" for i in range(4)))
    ]
    assert cells == ["0.7500 |", "absent, but predicted |", "absent |", "0.0000 |"]
    assert "* Classes with a low IoU: d (0.00)." in text
    assert "* Not scored, since the test split has none: b, c." in text


def test_write__lineage():
    record = {"run": NASTY, "file": "best.ckpt", "sha256": "01", "score": 0.5, "classes": []}
    lineage = {"init": {**record, "run": "streets/1"}, "extend": {**record, "epoch": 4, "step": 120}}
    lineage["lora"] = {"rank": 4, "alpha": 16.0, "targets": ["qkv", "proj"]}
    recipe = {"config": CONFIG, "lineage": lineage, "teacher": [{**record, "run": "big/2"}, {**record, "run": "big/3"}]}
    text = model_card.write("a", {**FACTS, "recipe": recipe}, {})
    _, lines = text.partition("## Recipe")[0].split("## Origin\n\n")
    first, second, lora, *teachers = lines.strip().split("\n")
    assert first == "* Its training started from the weights of streets/1 (`best.ckpt`, sha256 `01`)."
    assert second.endswith("(`best.ckpt`, sha256 `01`), after epoch 4, step 120.")
    assert "<img" not in second
    assert lora == (
        "* Of its encoder, only low-rank adapters (LoRA) of rank 4 on `qkv`, `proj` were trained; they are merged into "
        "its layers."
    )
    assert teachers == [
        f"* It learned from its teacher {name} (`best.ckpt`, sha256 `01`)." for name in ("big/2", "big/3")
    ]
    assert "## Origin" not in model_card.write("a", FACTS, {})
