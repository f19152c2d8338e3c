"""Run folders with damage, given to every verb that reads one."""

import json
import os
import shutil
from pathlib import Path
from random import Random

import yaml

from lightseg.fit import main as fit
from tests.conftest import ROOT, TINY
from tests.fuzz.case import Case
from tests.fuzz.odd import CODE, damage, odd, places, put, take_away

VERBS = {
    "predict": ["RUN", "image.png", "--out", "out"],
    "evaluate": ["RUN"],
    "compare": ["RUN", "OTHER"],
    "diff": ["RUN", "OTHER"],
    "export": ["RUN", "--out", "model.onnx"],
    "explain": ["RUN", "--out", "out"],
    "sync": ["RUN"],
    "dashboard": ["RUN"],
    "fit": ["--resume", "RUN"],
}
"""What each is given; RUN is the damaged folder, OTHER a sound one."""


def prepare(base: Path) -> None:
    """A finished run and another one of the same recipe, and an image."""
    (base / "recipe.yaml").write_text(TINY.replace("configs/", f"{ROOT}/configs/"))
    os.environ["LIGHTSEG_PRECISION"] = "32-true"
    for seed in (0, 1):
        options = [
            "--config",
            str(base / "recipe.yaml"),
            "--seed_everything",
            str(seed),
            "--runs_dir",
            str(base / f"runs{seed}"),
        ]
        if fit(options):
            raise RuntimeError("the recipe cannot be trained")
    from PIL import Image

    Image.new("RGB", (40, 40), (9, 99, 200)).save(base / "image.png")


def make(random: Random, base: Path, folder: Path) -> Case:
    """A damaged copy and a verb."""
    run, other = (next((base / f"runs{seed}").glob("*/*")) for seed in (0, 1))
    shutil.copytree(run, folder / "run")
    shutil.copy(base / "image.png", folder)
    (folder / "planted.py").write_text("open('RAN', 'w')\nclass Net: pass\n")
    for _ in range(random.choice([1, 1, 2])):
        _spoil(folder / "run", random)
    verb = random.choice(list(VERBS))
    words = {"RUN": str(folder / "run"), "OTHER": str(other)}
    return Case(verb, [words.get(word, word) for word in VERBS[verb]])


def _spoil(run: Path, random: Random) -> None:
    files = sorted(file for file in run.rglob("*") if file.is_file() and file.suffix != ".png")
    if not files:
        return
    file = random.choice(files)
    way = random.randrange(5)
    if way in (0, 1):
        take_away(file, leave_folder=way == 1)
    elif way == 2 or file.suffix not in (".json", ".yaml", ".jsonl"):
        file.write_bytes(damage(file.read_bytes(), random))
    else:
        _change(file, random)


def _change(file: Path, random: Random) -> None:
    """Another value at some key of a record."""
    text = file.read_text()
    try:
        lines = text.splitlines()
        row = random.randrange(len(lines)) if file.suffix == ".jsonl" else 0
        content = (
            yaml.safe_load(text)
            if file.suffix == ".yaml"
            else json.loads(lines[row] if file.suffix == ".jsonl" else text)
        )
    except ValueError:
        # it is damaged already
        return
    everywhere = list(places(content))
    if not everywhere:
        return
    put(content, random.choice(everywhere), random.choice([odd(random), odd(random), random.choice(CODE)]))
    if file.suffix == ".yaml":
        file.write_text(yaml.safe_dump(content))
    elif file.suffix == ".jsonl":
        lines[row] = json.dumps(content)
        file.write_text("\n".join(lines) + "\n")
    else:
        file.write_text(json.dumps(content))
