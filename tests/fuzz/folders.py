"""Folders of runs, series and searches with damage, given to every verb that reads one."""

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

SERIES_VERBS = {
    "compare": ["SERIES"],
    "fit": ["--resume", "SERIES"],
    "evaluate": ["SERIES", "--out", "out"],
    "search": ["--resume", "SEARCH"],
}
"""What each is given of a damaged folder with a series and a search, whose runs are all finished."""

_SHARE_OF_SERIES = 0.3

_LINES = (".jsonl", ".log")
"""Ends of the names of files with a record in each line."""


def prepare(base: Path) -> None:
    """A finished run and another one of the same recipe, a series and a search of them, and an image."""
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
    _prepare_series(base)
    from PIL import Image

    Image.new("RGB", (40, 40), (9, 99, 200)).save(base / "image.png")


def _prepare_series(base: Path) -> None:
    """A series and a search of the two runs."""
    from lightseg.runs.series import Plan, Series
    from lightseg.search.study import Study
    from lightseg.search.trials import Search, SearchPlan
    from lightseg.series.run import hash_recipe

    arguments = ["--config", str(base / "recipe.yaml")]
    recipe, seeds = hash_recipe(arguments), [{"seed_everything": str(seed)} for seed in (0, 1)]
    series = Series.create(str(base / "many"), "recipe", Plan(arguments, recipe, "a", None, seeds), "0")
    study = Study(space={"model.net.width": [4, 8]}, trials=2, winner_seeds=1, storage="journal")
    plan = SearchPlan(arguments=arguments, recipe=recipe, group="a", cores=None, study=study)
    search = Search.create(str(base / "many"), "recipe", plan, "1")
    runs = [next((base / f"runs{seed}").glob("*/*")) for seed in (0, 1)]
    for number, run in enumerate(runs):
        search.ask()
        for each in (series, search):
            shutil.copytree(run, each.run_folders[number])
        search.finish(number)
    winner = search.winner()
    words = [f"--{key}={value}" for key, value in search.options(winner).items()]
    plan = Plan([*arguments, *words], recipe, "a-winner", None, [{"seed_everything": str(winner + 1)}])
    retraining = Series.create(str(base / "many"), "recipe", plan, "2")
    shutil.copytree(runs[1], retraining.run_folders[0])
    for number in (0, 1):
        series.output(number).write_text("epoch 1/1\n")


def make(random: Random, base: Path, folder: Path) -> Case:
    """A damaged copy and a verb."""
    if random.random() < _SHARE_OF_SERIES:
        return _make_series(random, base, folder)
    run, other = (next((base / f"runs{seed}").glob("*/*")) for seed in (0, 1))
    shutil.copytree(run, folder / "run")
    shutil.copy(base / "image.png", folder)
    (folder / "planted.py").write_text("open('RAN', 'w')\nclass Net: pass\n")
    for _ in range(random.choice([1, 1, 2])):
        _spoil(folder / "run", random)
    verb = random.choice(list(VERBS))
    words = {"RUN": str(folder / "run"), "OTHER": str(other)}
    return Case(verb, [words.get(word, word) for word in VERBS[verb]])


def _make_series(random: Random, base: Path, folder: Path) -> Case:
    """A damaged copy of a series and a search, and a verb; a run that is missing would take longer than a case may."""
    shutil.copytree(base / "many", folder / "runs")
    (folder / "planted.py").write_text("open('RAN', 'w')\nclass Net: pass\n")
    verb = random.choice(list(SERIES_VERBS))
    words = {"SERIES": "runs/recipe/series-0", "SEARCH": "runs/recipe/search-1"}
    arguments = [words.get(word, word) for word in SERIES_VERBS[verb]]
    for _ in range(random.choice([1, 1, 2])):
        _spoil(folder / words["SEARCH" if verb == "search" else "SERIES"], random)
    _keep_small(folder / words["SEARCH"] / "search.json")
    return Case(verb, arguments)


def _keep_small(file: Path) -> None:
    """Put back what would make a search train."""
    try:
        content = json.loads(file.read_text())
        content["study"].update(trials=2, winner_seeds=1)
        file.write_text(json.dumps({**content, "group": "a"}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # it is refused as it is
        return


def _spoil(run: Path, random: Random) -> None:
    files = sorted(file for file in run.rglob("*") if file.is_file() and file.suffix != ".png")
    if not files:
        return
    file = random.choice(files)
    way = random.randrange(5)
    if way in (0, 1):
        take_away(file, leave_folder=way == 1)
    elif way == 2 or file.suffix not in (".json", ".yaml", ".jsonl", ".log"):
        file.write_bytes(damage(file.read_bytes(), random))
    else:
        _change(file, random)


def _change(file: Path, random: Random) -> None:
    """Another value at some key of a record."""
    text = file.read_text()
    try:
        lines = text.splitlines()
        row = random.randrange(len(lines)) if file.suffix in _LINES else 0
        content = (
            yaml.safe_load(text)
            if file.suffix == ".yaml"
            else json.loads(lines[row] if file.suffix in _LINES else text)
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
    elif file.suffix in _LINES:
        lines[row] = json.dumps(content)
        file.write_text("\n".join(lines) + "\n")
    else:
        file.write_text(json.dumps(content))
