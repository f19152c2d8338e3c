"""What the cures of class imbalance do: every recipe of a folder at several seeds, and one table of what came out.

usage: python experiments/imbalance/run.py TABLE [--seeds 0,1,2] [--arms ARM,...] [--runs_dir DIR] [--KEY VALUE]...

TABLE is cifar10 or shapes, an arm is the name of a recipe in that folder, and further options go to `lightseg.fit`:

  python experiments/imbalance/run.py cifar10 --data.root CIFAR

Finished runs are not run again, and those that broke off go on; where a recipe or an option changes, new ones begin.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lightseg.config.compose import chain

HERE = Path(__file__).resolve().parent
PLAIN, DRAWN = "plain", "train/drawn/"

Numbers = dict[str, float]
"""What is in the `metrics.json` of a run."""


def cifar10(run: Numbers) -> Numbers:
    """Recalls averaged alike, and as if the test split had the long tail of the training split: its accuracy then."""
    recalls = [value for name, value in run.items() if name.startswith("test/recall/")]
    tail = [100 ** (-c / (len(recalls) - 1)) for c in range(len(recalls))]
    return {"balanced accuracy": run["test/balanced_accuracy"], "long-tail accuracy": statistics.fmean(recalls, tail)}


def shapes(run: Numbers) -> Numbers:
    """The two rarest shapes, all classes, all pixels."""
    rare = statistics.mean((run["test/iou/star"], run["test/iou/ring"]))
    return {"IoU of star and ring": rare, "mIoU": run["test/miou"], "accuracy": run["test/accuracy"]}


SCORES: dict[str, Callable[[Numbers], Numbers]] = {"cifar10": cifar10, "shapes": shapes}
"""The scores of a run in each table; arms are compared by the first."""

PER_CLASS = {"cifar10": "recall", "shapes": "iou"}


def result(recipe: Path, seed: int, runs_dir: Path, options: list[str]) -> Numbers:
    """The numbers of a run, which is begun, or gone on with, where it is not finished."""
    content = b"".join(file.read_bytes() for file in chain(recipe)) + repr(options).encode()
    name = f"{recipe.parent.name}-{recipe.stem}-{seed}-{hashlib.sha256(content).hexdigest()[:8]}"
    begun = [file.parent for file in sorted((runs_dir / name).glob("*/config.yaml"))]
    finished = [folder for folder in begun if (folder / "metrics.json").exists()]
    if finished:
        numbers: Numbers = json.loads((finished[-1] / "metrics.json").read_text())
        return numbers
    command = [sys.executable, "-m", "lightseg.fit", "--config", str(recipe), "--seed_everything", str(seed), *options]
    resume = ["--resume", str(begun[-1])] if begun else []
    if code := subprocess.run([*command, "--runs_dir", str(runs_dir), "--name", name, *resume]).returncode:
        sys.exit(code)
    return result(recipe, seed, runs_dir, options)


def verdict(values: list[float], plain: list[float]) -> str:
    """The difference of two means, in percent, beside the larger of the two standard deviations."""
    difference = statistics.mean(values) - statistics.mean(plain)
    if len(values) < 2:
        return f"{100 * difference:+.1f}"
    beyond = abs(difference) > max(statistics.stdev(values), statistics.stdev(plain))
    word = "within the spread" if not beyond else "**better**" if difference > 0 else "**worse**"
    return f"{100 * difference:+.1f} {word}"


def rows(table: str, arms: dict[str, list[Numbers]]) -> list[list[str]]:
    """The table: its headings, then one row per arm."""
    scores, metric = SCORES[table], f"test/{PER_CLASS[table]}/"
    first, *others = scores(arms[PLAIN][0])
    classes = [name.removeprefix(DRAWN) for name in arms[PLAIN][0] if name.startswith(DRAWN)]
    lines = [["arm", "n", first, *others, "against plain", *classes]]
    plain = [scores(run)[first] for run in arms[PLAIN]]
    for arm, runs in arms.items():
        values = [[scores(run)[name] for run in runs] for name in (first, *others)]
        compared = "" if arm == PLAIN else verdict(values[0], plain)
        cells = [f"{_mean(runs, metric + name)} ({_mean(runs, DRAWN + name)})" for name in classes]
        lines.append([arm, str(len(runs)), *map(_spread, values), compared, *cells])
    return lines


def caption(table: str, arms: dict[str, list[Numbers]]) -> str:
    """How to read the table."""
    lengths = {int(run["train/steps"]) for runs in arms.values() for run in runs}
    if len(lengths) > 1:
        sys.exit(f"runs of {', '.join(map(str, sorted(lengths)))} steps cannot be compared")
    heading = next(iter(SCORES[table](arms[PLAIN][0])))
    return (
        f"Test split in percent, mean ± standard deviation over n seeds; {lengths.pop()} steps each. Better or worse: "
        f"{heading} differs from plain's by more than the larger of the two standard deviations, which is no test of "
        f"significance. Classes: {PER_CLASS[table]}, and in parentheses the share of what training drew."
    )


def _spread(values: list[float]) -> str:
    deviation = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{deviation}"


def _mean(runs: list[Numbers], name: str) -> str:
    return f"{100 * statistics.mean(run[name] for run in runs):.1f}"


def main() -> None:
    """Run what is missing, print the table, and write it as Markdown."""
    parser = argparse.ArgumentParser(usage=__doc__.partition("usage: ")[2], allow_abbrev=False)
    parser.add_argument("table", choices=SCORES)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--arms", type=lambda text: text.split(","))
    parser.add_argument("--runs_dir", type=Path, default=Path("runs/imbalance"))
    asked, options = parser.parse_known_args()
    recipes = {file.stem: file for file in sorted((HERE / asked.table).glob("*.yaml"))}
    names = [PLAIN, *(name for name in asked.arms or recipes if name != PLAIN)]
    if unknown := [name for name in names if name not in recipes]:
        parser.error(f"no arm {', '.join(unknown)}; there are {', '.join(recipes)}")
    arms: dict[str, list[Numbers]] = {name: [] for name in names}
    for seed in asked.seeds:
        for name in names:
            arms[name].append(result(recipes[name], seed, asked.runs_dir, options))
    note, (headings, *body) = caption(asked.table, arms), rows(asked.table, arms)
    table = Table(*headings, caption=note, caption_justify="left")
    for row in body:
        table.add_row(*(cell.replace("**", "") for cell in row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    markdown = asked.runs_dir / f"{asked.table}.md"
    lines = [f"| {' | '.join(row)} |\n" for row in (headings, ["---"] * len(headings), *body)]
    markdown.write_text(f"{''.join(lines)}\n{note}\n")
    print(f"table: {markdown}")


if __name__ == "__main__":
    main()
