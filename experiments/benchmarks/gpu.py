"""Rows for a machine with a GPU, in one script of at most ten minutes that loses nothing when it is cut off.

usage: python experiments/benchmarks/gpu.py --out FILE [--pairs N] [--precision NAME] [--cifar ROOT] [--camvid ROOT]
           [--airbench FILE] [--rows NAME,...] [--skip-tests] [--cpu-rehearsal]
       python experiments/benchmarks/gpu.py --table FILE

Versions first, then the tests that need a GPU, a minute at most; if they fail, nothing is measured. Then the rows in
order of worth, each in a process of its own with a time limit, both sides in turn, compilation and warm-up apart. Every
pair is written to FILE, a JSON line each, as soon as it is measured; `--table` writes the table of such a file into
experiments/README.md. Without data, pictures of the same size are painted.

  --rows  fast_cifar    experiments/cifar10/fast.yaml: seconds and accuracy, against airbench94 or a bare loop
          unet          U-Net on ResNet-34, CamVid at full size: bf16 against float32 and the hand-written loop
          tutorial_cnn  the tutorial's CNN against the hand-written loop
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from table import Row, markdown, write
from turns import ROOT, started, step_rates, within

PAGE = ROOT / "experiments/README.md"
MINUTES = 10
LIMITS = {"fast_cifar": 210, "unet": 150, "tutorial_cnn": 100}
"""Seconds that each row may take, in order of worth."""

TESTS_LIMIT = 60
START_UP = 40
"""Seconds of a row's limit that are left for imports and for the processes to end."""

Measurement = dict[str, Any]
"""A pair: the fields of a `Row`, with one number each for `ours` and `theirs`."""


def main() -> None:
    """Measure what the command line asks for, or write the table."""
    options = parse_arguments()
    if options.table:
        lines = [json.loads(line) for line in Path(options.table).read_text().splitlines()]
        text = to_page(lines)
        write(PAGE, text, "benchmarks on a GPU")
        print(text)
    elif options.row:
        _measure_row(options)
    else:
        sys.exit(_measure_all(options))


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options, checked."""
    from runner import arguments as parser_of

    parser = parser_of(__doc__ or "")
    parser.add_argument("--out", type=Path, metavar="FILE", help="gets the JSON lines")
    parser.add_argument("--table", metavar="FILE", help="write the table of these JSON lines into the page")
    parser.add_argument("--rows", metavar="NAME,...", default=",".join(LIMITS), help="which rows to measure")
    parser.add_argument("--skip-tests", action="store_true", help="measure without the tests")
    parser.add_argument("--cpu-rehearsal", action="store_true", help="every row with tiny sizes on the CPU")
    parser.add_argument("--row", choices=LIMITS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not options.table and options.out is None:
        parser.error("--out FILE is missing")
    if unknown := set(options.rows.split(",")) - set(LIMITS):
        parser.error(f"--rows: no row is named {', '.join(sorted(unknown))}; there are {', '.join(LIMITS)}")
    return options


# ---- the whole -------------------------------------------------------------------------------------------------------


def _measure_all(options: argparse.Namespace) -> int:
    """Run tests and rows; returns the exit code."""
    import torch
    from machine import describe, resolve_precision

    # nothing is lost if a rehearsal beside other work takes longer
    patience = 4 if options.cpu_rehearsal else 1
    deadline = time.monotonic() + 60 * MINUTES * patience
    if not torch.cuda.is_available() and not options.cpu_rehearsal:
        print("no CUDA device here; rehearse with --cpu-rehearsal", file=sys.stderr)
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.unlink(missing_ok=True)
    record(options.out, machine=describe(*resolve_precision(options.precision)), rehearsal=options.cpu_rehearsal)
    if not options.skip_tests and not _tests_pass(options):
        return 1
    failed = False
    for name in options.rows.split(","):
        seconds = min(LIMITS[name] * patience, deadline - time.monotonic())
        if seconds < START_UP:
            record(options.out, name=name, note=f"not measured: the {MINUTES} minutes were over")
            continue
        start = time.monotonic()
        code, errors = run_within(
            [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:], "--row", name], seconds
        )
        if code != 0:
            failed = True
            reason = f"took longer than {seconds:.0f} s" if code is None else _last_line(errors)
            record(options.out, name=name, note=f"failed: {reason}")
            print(errors, file=sys.stderr)
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    print(f"\n{to_page([json.loads(line) for line in options.out.read_text().splitlines()])}")
    return int(failed)


def _tests_pass(options: argparse.Namespace) -> bool:
    # another torch warns of other things, and pytest-timeout may be missing
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-o", "filterwarnings=default"]
    command.append(str(ROOT / "tests/promises/test_gpu.py"))
    # a test of the GPU cannot be rehearsed, but its imports can
    command += ["--collect-only"] if options.cpu_rehearsal else []
    code, errors = run_within(command, TESTS_LIMIT * (4 if options.cpu_rehearsal else 1))
    passed = "collected, not run" if options.cpu_rehearsal else "passed"
    record(options.out, tests={None: "cut off", 0: passed}.get(code, "failed"))
    if code:
        print(errors, file=sys.stderr)
    return not code


def run_within(command: list[str], seconds: float) -> tuple[int | None, str]:
    """Run a command; return its exit code, None if it was cut off with all that it started, and its errors."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    # a file, since a loading process that outlives the command would keep a pipe open
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(command, env=environment, stderr=errors, start_new_session=True)
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
        errors.seek(0)
        return code, errors.read()


def record(file: Path, **fields: Any) -> None:
    """Append a JSON line that a cut-off cannot take back, and print it."""
    line = json.dumps(fields, ensure_ascii=False)
    with file.open("a") as lines:
        lines.write(f"{line}\n")
        lines.flush()
        os.fsync(lines.fileno())
    print(line, flush=True)


def _last_line(text: str) -> str:
    return (text.strip() or "no message").splitlines()[-1]


# ---- rows ------------------------------------------------------------------------------------------------------------


def _measure_row(options: argparse.Namespace) -> None:
    from runner import prepared

    measure = {"fast_cifar": fast_cifar, "unet": unet, "tutorial_cnn": tutorial_cnn}[options.row]
    options.seconds = LIMITS[options.row] - START_UP
    out = options.out.resolve()
    with prepared(options):
        for measurement in measure(options):
            record(out, **measurement)


def fast_cifar(options: argparse.Namespace) -> Iterator[Measurement]:
    """Yield seconds of the fast recipe and its accuracy, pair by pair."""
    import cifar_fast
    from overhead import cifar

    begin, tiny = time.monotonic(), options.cpu_rehearsal
    root, pictures = cifar(options, 50 if tiny else 10_000)
    steps, batch = (14, 8) if tiny else (cifar_fast.STEPS, cifar_fast.BATCH)
    recipe = [*_hardware(options), "--data.root", root, "--trainer.precision", options.precision]
    if tiny:
        recipe += ["--data.batch_size", str(batch), "--data.val_size", "20", "--model.optimizer.lr", "0.1"]
        recipe += ["--trainer.max_epochs", "1", "--trainer.check_val_every_n_epoch", "1"]
    train = partial(cifar_fast.by_lightseg, steps=steps, batch=batch, runs=options.scratch / "runs")
    compiled, note = _warm_up(lambda flag: train([*recipe, *flag]), ["--model.compile", str(not tiny).lower()])
    # of random pictures nothing can be learnt
    target = 94.0 if options.cifar and not tiny else None
    name = f"{pictures}, {steps} steps of the fast recipe, {options.precision}"
    with contextlib.ExitStack() as stack:
        if options.airbench:
            theirs = cifar_fast.airbench(Path(options.airbench), root, options.scratch)
            # compiles and warms up
            theirs()
            comparison: Measurement = {"against": "airbench94", "target": 1 / 1.3}
        else:
            loop = cifar_fast.by_hand(recipe, options.precision, compiled[-1] == "true")
            stack.enter_context(started([loop]))
            loop.train(5)
            theirs = lambda: (loop.train(steps), None)  # noqa: E731
            comparison = {"against": "the same net and batches in a bare loop"}
        pairs = within(options.seconds, begin, options.pairs, lambda: (train([*recipe, *compiled]), theirs()))
        for (seconds, accuracy), (their_seconds, their_accuracy) in pairs:
            numbers = {"unit": "s", "less_is_better": True, "ours": seconds, "theirs": their_seconds}
            yield {"name": name, **numbers, "note": note, **comparison}
            yield {"name": f"{name}: accuracy", "unit": "%", "ours": accuracy, "target": target}
            if their_accuracy is not None:
                yield {"name": "airbench94 there: accuracy", "unit": "%", "ours": their_accuracy}


def _warm_up(train: Callable[[list[str]], Any], compiled: list[str]) -> tuple[list[str], str]:
    """Train once, without compilation where the machine cannot compile; return the option and what to note."""
    try:
        train(compiled)
    except Exception as error:
        if compiled[-1] == "false":
            raise
        compiled, note = [compiled[0], "false"], f"not compiled: {_last_line(str(error))}"
        train(compiled)
    else:
        note = "compiled" if compiled[-1] == "true" else "not compiled"
    return compiled, note


def unet(options: argparse.Namespace) -> Iterator[Measurement]:
    """Yield images per second of U-Net beside float32, the hand-written loop and that on one batch, pair by pair."""
    from frames import camvid_like
    from overhead import Training

    from lightseg.data.loading.collate import default_workers

    tiny = options.cpu_rehearsal
    splits = {"train": 16, "val": 2, "test": 2} if tiny else {"train": 367, "val": 101, "test": 233}
    camvid = options.camvid or camvid_like(options.scratch / "camvid", splits)
    encoder, batch = ("resnet18", 2) if tiny else ("resnet34", 16)
    recipe = ["--config", f"{ROOT}/configs/net/smp.yaml", "--config", f"{ROOT}/configs/data/camvid.yaml"]
    recipe += [*_hardware(options), "--model.net.encoder", encoder, "--data.root", camvid]
    recipe += ["--data.batch_size", str(batch)]
    if tiny:
        crop = "{class_path: albumentations.RandomCrop, init_args: {height: 64, width: 64}}"
        recipe += ["--data.train_transforms", f"[{crop}]"]
    frames = "CamVid" if options.camvid else "painted frames"
    name = f"U-Net on {encoder}, {frames} at full size, crops of 256², batch {batch}, {options.precision}"
    training, runs = Training(name, recipe, batch, options.precision), options.scratch / "runs"
    sides = {
        "the same in 32-true": training.by_lightseg(runs, "32-true"),
        "a hand-written PyTorch loop": training.by_hand(),
        "the loop on one batch that stays on the device": training.by_hand("--same_batch"),
    }
    # two batches of each loading process are ready when a turn begins
    settle, turn = (1, 0.1) if tiny else (2 * default_workers(1) + 1, 4.0)
    everyone = [training.by_lightseg(runs), *sides.values()]
    for ours, *others in step_rates(everyone, options.pairs, options.seconds, turn, settle):
        for against, theirs in zip(sides, others, strict=True):
            yield {"name": name, "unit": "images/s", "against": against, "ours": ours * batch, "theirs": theirs * batch}


def tutorial_cnn(options: argparse.Namespace) -> Iterator[Measurement]:
    """Yield images per second of the tutorial's CNN beside the hand-written loop."""
    import overhead

    tiny = options.cpu_rehearsal
    root, pictures = overhead.cifar(options, 50 if tiny else 10_000)
    training = overhead.tutorial_cnn(options.precision, root, pictures, 16 if tiny else 128)
    training.options += [*_hardware(options), *(["--data.val_size", "20"] if tiny else [])]
    sides = [training.by_lightseg(options.scratch / "runs"), training.by_hand()]
    batch, turn = training.batch, 0.1 if tiny else 4.0
    for ours, theirs in step_rates(sides, options.pairs, options.seconds, turn):
        comparison = {"against": "a hand-written PyTorch loop", "target": 0.95}
        yield {"name": training.name, "unit": "images/s", "ours": ours * batch, "theirs": theirs * batch, **comparison}


def _hardware(options: argparse.Namespace) -> list[str]:
    if options.cpu_rehearsal:
        return ["--trainer.accelerator", "cpu"]
    return ["--config", f"{ROOT}/configs/hardware/gpu.yaml"]


# ---- the table -------------------------------------------------------------------------------------------------------


def to_rows(lines: Iterable[Measurement]) -> list[Row]:
    """Return the table's rows: pairs of one name and comparison make one row, in the order of their first."""
    rows: dict[tuple[str, str], Measurement] = {}
    for line in lines:
        if "name" not in line:
            continue
        key = line["name"], line.get("against", "")
        row = rows.setdefault(key, {**line, "ours": [], "theirs": []})
        for side in ("ours", "theirs"):
            if line.get(side) is not None:
                row[side].append(line[side])
    return [Row(**fields) for fields in rows.values()]


def to_page(lines: Iterable[Measurement]) -> str:
    """Return the text of the page: hardware and versions, what the tests said, the rows."""
    lines = list(lines)
    facts = [f"{line['machine']} n counts pairs." for line in lines if "machine" in line]
    facts += ["A rehearsal on the CPU: its numbers mean nothing." for line in lines if line.get("rehearsal")]
    facts += [f"Tests on the GPU: {line['tests']}." for line in lines if "tests" in line]
    return f"{' '.join(facts)}\n\n{markdown(to_rows(lines))}"


if __name__ == "__main__":
    main()
