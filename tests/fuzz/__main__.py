"""Gives every verb what it should not be given, and counts how often the answer is no answer.

usage: python -m tests.fuzz [--seed N] [--share X] [--minutes M] [--keep DIR] [KIND | KIND:NUMBER]...

  --seed N       another one, other cases (0)
  --share X      part of the cases, 0 to 1 (1: 500 configs, 300 data sets, 400 run folders, 150 checkpoints)
  --minutes M    when to stop (40)
  --keep DIR     where the cases that failed stay (.cache/fuzz)
  KIND:NUMBER    one case again, such as configs:137

A case fails if it ends in a traceback, lasts longer than 20 s (also when it is run again alone), runs what a file of
somebody else names, or ends with exit code 0 and a score or a loss that is not finite.

Exit codes: 0 none failed, 1 some did.
"""

import argparse
import contextlib
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz import checkpoints, configs, data, folders
from tests.fuzz.case import Case
from tests.helpers.forked_process import ForkedProcess

KINDS = {"configs": (configs, 500), "data": (data, 300), "folders": (folders, 400), "checkpoints": (checkpoints, 150)}
"""What makes the cases of each kind, and how many there are."""

LIMIT = 20.0
"""Seconds that a case may take."""

_FINITE = re.compile(r"(score|loss|accuracy|miou)$")


@dataclass
class Outcome:
    """What became of a case; `fault` is empty where it is as it should be."""

    name: str
    code: int | None
    fault: str
    command: str


def main() -> int:
    """Run the cases that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, add_help=True)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--keep", type=Path, default=Path(".cache/fuzz"))
    parser.add_argument("names", nargs="*", metavar="KIND")
    options = parser.parse_args()
    outcomes = run(options.names or list(KINDS), options.seed, options.share, options.minutes, options.keep.absolute())
    print(table(outcomes))
    return int(any(outcome.fault for outcome in outcomes))


def run(names: list[str], seed: int, share: float, minutes: float, keep: Path) -> list[Outcome]:
    """Run the cases of some kinds, two at a time."""
    end = time.monotonic() + 60 * minutes
    shutil.rmtree(keep, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(2) as pool:
        jobs = []
        for name in names:
            kind, _, number = name.partition(":")
            maker, count = KINDS[kind]
            base = Path(scratch, kind)
            if not base.exists():
                base.mkdir()
                with contextlib.redirect_stdout(io.StringIO()):
                    maker.prepare(base)
            chosen = [int(number)] if number else range(max(1, round(count * share)))
            jobs += [pool.submit(_one, kind, each, seed, base, keep, end) for each in chosen]
        outcomes = [outcome for job in jobs if (outcome := job.result())]
        # alone, since other work may have slowed it
        return [_again(outcome, seed, Path(scratch), keep) if _is_hang(outcome) else outcome for outcome in outcomes]


def _is_hang(outcome: Outcome) -> bool:
    return outcome.fault.startswith("hang")


def _again(outcome: Outcome, seed: int, scratch: Path, keep: Path) -> Outcome:
    kind, number = outcome.name.split(":")
    shutil.rmtree(keep / outcome.name.replace(":", "-"), ignore_errors=True)
    return _one(kind, int(number), seed, scratch / kind, keep, math.inf)


def table(outcomes: list[Outcome]) -> str:
    """The counts, and a line for each case that failed."""
    lines = ["kind         cases  exit 0  exit 1  exit 2  other  failed"]
    for kind in KINDS:
        kind_outcomes = [outcome for outcome in outcomes if outcome.name.startswith(f"{kind}:")]
        if kind_outcomes:
            codes = Counter(outcome.code if outcome.code in (0, 1, 2) else "other" for outcome in kind_outcomes)
            cells = [codes[code] for code in (0, 1, 2, "other")]
            faults = sum(bool(outcome.fault) for outcome in kind_outcomes)
            lines.append(
                f"{kind:12} {len(kind_outcomes):5}  {cells[0]:6}  {cells[1]:6}  {cells[2]:6}  {cells[3]:5}  {faults:6}"
            )
    faulty = [outcome for outcome in outcomes if outcome.fault]
    kinds = Counter(outcome.fault.partition(":")[0] for outcome in faulty)
    lines += [f"{outcome.name}: {outcome.fault}\n    {outcome.command}" for outcome in faulty]
    names = ("traceback", "hang", "code", "not finite")
    return "\n".join([*lines, ", ".join(f"{name} {kinds[name]}" for name in names)])


def _one(kind: str, number: int, seed: int, base: Path, keep: Path, end: float) -> Outcome | None:
    if time.monotonic() > end:
        return None
    name = f"{kind}:{number}"
    folder = base / f"case{number}"
    folder.mkdir()
    case = KINDS[kind][0].make(Random(f"{seed} {name}"), base, folder)
    outcome = _judge(name, case, folder)
    if outcome.fault:
        shutil.copytree(folder, keep / name.replace(":", "-"), symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _judge(name: str, case: Case, folder: Path) -> Outcome:
    module = f"lightseg.{case.verb}" if case.verb else "tests.fuzz.load"
    environment = {**os.environ, "LIGHTSEG_CACHE": str(folder / "cache"), "LIGHTSEG_PRECISION": "32-true"}
    environment |= {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1", **case.environment}
    process = ForkedProcess(module, case.arguments, folder, environment, folder / "output")
    fault = ""
    try:
        process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        fault = "hang: longer than 20 s"
        process.kill()
        process.wait()
    out, err = process.communicate()
    if "Traceback (most recent call last)" in out + err:
        fault = f"traceback: {(err or out).strip().splitlines()[-1][:200]}"
    elif process.returncode not in (0, 1, 2) and not fault:
        fault = f"traceback: exit code {process.returncode}: {err.strip()[-200:]}"
    if (folder / "PWNED").exists() or (folder / "RAN").exists():
        fault = "code: a file's code has been run"
    if not fault and process.returncode == 0 and case.verb == "fit" and (wrong := _not_finite(folder)):
        fault = f"not finite: {wrong}"
    return Outcome(name, process.returncode, fault, f"{case.verb or 'load'} {' '.join(case.arguments)}")


def _not_finite(folder: Path) -> str:
    """The first final score or loss that is no number."""
    for file in folder.glob("runs/*/*/metrics.json"):
        for key, value in json.loads(file.read_text()).items():
            if value is None and _FINITE.search(key):
                return f"{key} is null"
    return ""


if __name__ == "__main__":
    sys.exit(main())
