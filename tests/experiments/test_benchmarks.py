"""Tables, turns and options of the benchmarks; their speeds are not measured here."""

import argparse
import contextlib
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "experiments/benchmarks"

EPOCHS = """
import sys
from turns import report, wait_for_turn
for epoch in range({epochs}):
    if wait_for_turn() == 0:
        break
    {work}
    report(f"turn {{epoch + 1}}")
report("version 7")
"""

# a step takes the seconds that it is given, by the clock of the test
STEPS = """
import sys
from turns import report, wait_for_turn
while steps := wait_for_turn():
    open(sys.argv[1], "a").write(f"{steps} ")
    report(f"turn {steps * float(sys.argv[2])}")
"""


@pytest.fixture
def benchmark(monkeypatch):
    """A module of the benchmarks by name."""
    monkeypatch.syspath_prepend(HERE)
    return importlib.import_module


@pytest.fixture
def side(benchmark):
    """A side that trains epochs, given what it does in each."""

    def make(work, epochs=3):
        return benchmark("turns").Side([sys.executable, "-c", EPOCHS.format(work=work, epochs=epochs)])

    return make


def test_train_epochs__in_turn_and_not_both_at_once(benchmark, side, tmp_path):
    note = f"open({str(tmp_path / 'log')!r}, 'a').write('{{}}')"
    sides = [side(note.format("a")), side(note.format("b"))]
    benchmark("turns").train_epochs(sides, 100)
    assert (tmp_path / "log").read_text() == "ababab"
    assert [each.seconds for each in sides] == [[1, 2, 3]] * 2
    assert sides[0].facts == {"version": "7"}


def test_train_epochs__ends_both_sides_alike_when_the_time_is_over(benchmark, side):
    sides = [side("import time; time.sleep(0.2)", epochs=1000), side("pass", epochs=1000)]
    benchmark("turns").train_epochs(sides, 0.5)
    assert len(sides[0].seconds) == len(sides[1].seconds) < 5
    assert [each.facts for each in sides] == [{"version": "7"}] * 2


def test_train_epochs__a_side_that_prints_much_does_not_block(benchmark, side):
    # more than a pipe holds
    sides = [side("print('x' * 1_000_000, file=sys.stderr)"), side("pass")]
    benchmark("turns").train_epochs(sides, 100)
    assert sides[0].seconds == [1, 2, 3]


def test_train_epochs__where_a_side_fails_its_message_is_raised_and_the_other_ends(benchmark, side):
    sides = [side("if epoch: raise ValueError('broken')"), side("pass")]
    with pytest.raises(RuntimeError, match="ValueError: broken"):
        benchmark("turns").train_epochs(sides, 100)
    assert [each._process.returncode for each in sides] == [1, -9]


def test_side__ends_when_the_benchmark_has_ended(side, tmp_path):
    ended = side(f"open({str(tmp_path / 'trained')!r}, 'w')")
    ended.start()
    assert ended.is_ready()
    os.close(ended._requests)
    with pytest.raises(RuntimeError, match="the benchmark has ended"):
        ended.is_ready()
    assert not (tmp_path / "trained").exists()
    ended._reports.close(), ended._errors.close()


@pytest.mark.parametrize("fresh", [False, True])
def test_step_rates__all_sides_train_as_many_steps_as_the_slowest_does_in_a_turn(benchmark, tmp_path, fresh):
    turns = benchmark("turns")
    # 0.5 and 0.25 s a step: a turn of 5 s has 10 steps
    paths = [tmp_path / "slow", tmp_path / "fast"]
    commands = [
        [sys.executable, "-c", STEPS, str(path), pace] for path, pace in zip(paths, ("0.5", "0.25"), strict=True)
    ]
    rates = list(turns.step_rates([turns.Side(command) for command in commands], 2, 100, turn=5, fresh=fresh))
    assert rates == [[2, 4]] * 2
    # warm-up; the first measurement, repeated until it is long enough; then what settles and what counts
    again = "4 " if fresh else ""
    assert [path.read_text() for path in paths] == ["2 2 8 " + f"{again}1 10 " * 2] * 2


def test_within__ends_before_the_time_is_over_but_not_before_the_first(benchmark):
    within = benchmark("turns").within
    assert len(list(within(-1, time.monotonic(), 5, lambda: None))) == 1
    assert len(list(within(100, time.monotonic(), 5, lambda: None))) == 5
    assert len(list(within(0.5, time.monotonic(), 5, lambda: time.sleep(0.2)))) < 3


def test_measured__a_benchmark_that_fails_is_a_row_that_says_why(benchmark):
    runner, table = benchmark("runner"), benchmark("table")

    def broken():
        yield table.Row("first")
        raise ValueError("net: too large\nfor this machine")

    def hanging():
        with runner.time_limit(0.1):
            time.sleep(60)

    benchmarks = [
        runner.Benchmark("broken", broken),
        runner.Benchmark("hanging", hanging),
        runner.Benchmark("whole", lambda: [table.Row("last")]),
    ]
    rows = list(runner.measured(benchmarks))
    assert [row.name for row in rows] == ["first", "broken", "hanging", "last"]
    assert [row.note for row in rows] == ["", "failed: for this machine", "failed: took longer than 0 s", ""]
    assert [row.has_failed for row in rows] == [False, True, True, False]
    assert [row.note for row in runner.measured(benchmarks, seconds=-1)] == [
        "not measured: the time for all rows was over"
    ] * 3


def test_precision__without_fast_bfloat16_is_said_and_not_measured(benchmark, tmp_path):
    options = argparse.Namespace(precision="32-true", reason="this CPU emulates bfloat16", pairs=1, scratch=tmp_path)
    (measure,) = benchmark("precision").suite(options)
    (row,) = measure.measure()
    assert "bf16-mixed" in row.name
    assert row.note.startswith("not measured: 32-true")
    assert "emulates" in row.note


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_suites__name_the_precision_that_they_hand_to_both_sides(benchmark, precision, tmp_path):
    net = benchmark("overhead").unet(precision)
    assert net.name.endswith(f"batch 8, {precision}")
    for side in (net.by_lightseg(tmp_path), net.by_hand()):
        assert precision in side.command


def test_arguments__are_those_of_the_usage(benchmark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    arguments = benchmark("runner").arguments("usage: python x.py [--pairs N] [--camvid ROOT]")
    options = arguments.parse_args(["--camvid", "data"])
    assert vars(options) == {"pairs": 5, "camvid": str(tmp_path / "data"), "precision": "auto"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--camvid", "nowhere"], "nowhere does not exist"),
        (["--pairs", "0"], "0 is no number from 1 on"),
        (["--cifar", "."], "unrecognized arguments: --cifar"),
    ],
    ids=str,
)
def test_arguments__what_is_wrong_is_said_before_anything_is_measured(benchmark, capsys, given, message):
    arguments = benchmark("runner").arguments("usage: python x.py [--pairs N] [--camvid ROOT]")
    with pytest.raises(SystemExit, match="2"):
        arguments.parse_args(given)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ours", "theirs", "less", "target", "cells", "is_met"),
    [
        ([10, 12], [10, 10], False, 0.97, "≥ 0.97", True),
        ([8, 9], [10, 10], False, 0.97, "≥ 0.97 **missed**", False),
        # seconds: theirs by ours, so that more is better again
        ([8, 8], [10, 10], True, 1.25, "≥ 1.25", True),
        ([9, 9], [10, 10], True, 1.25, "≥ 1.25 **missed**", False),
        ([], [], True, 0.77, "≥ 0.77", None),
    ],
    ids=str,
)
def test_row__of_two(benchmark, ours, theirs, less, target, cells, is_met):
    table = benchmark("table")
    row = table.Row("what", "unit", ours, "the other", theirs, target, less)
    assert row.is_met is is_met
    assert table.markdown([row]).endswith(f"| {cells} |")


@pytest.mark.parametrize(
    ("seconds", "cells", "is_met"),
    [([2, 3], "≤ 3", True), ([4, 5], "≤ 3 **missed**", False), ([], "≤ 3", None)],
    ids=str,
)
def test_row__that_stands_alone(benchmark, seconds, cells, is_met):
    table = benchmark("table")
    row = table.Row("what", "s", seconds, target=3, less_is_better=True)
    assert row.is_met is is_met
    assert table.markdown([row]).endswith(f"| {cells} |")


@pytest.fixture
def page(tmp_path):
    """A page with the marks of two tables."""
    path = tmp_path / "page.md"
    marks = ["<!-- a: by x -->\nold\n<!-- end of a -->", "<!-- b: by y -->\nold\n<!-- end of b -->"]
    path.write_text("before\n" + "\nbetween\n".join(marks) + "\nafter\n")
    return path


def test_write__replaces_what_is_between_the_marks_of_a_name(benchmark, page):
    benchmark("table").write(page, "new", "b")
    before, after = page.read_text().split("between")
    assert before.split("\n") == ["before", "<!-- a: by x -->", "old", "<!-- end of a -->", ""]
    assert " ".join(after.split()) == "<!-- b: by y --> new <!-- end of b --> after"
    with pytest.raises(ValueError, match="has no `<!-- c:"):
        benchmark("table").write(page, "new", "c")


def test_to_rows__pairs_of_a_comparison_make_a_row(benchmark):
    pair = {"name": "net", "unit": "images/s", "against": "loop", "target": 0.97}
    lines = [
        {"machine": "one GPU"},
        {"tests": "passed"},
        {**pair, "ours": 9, "theirs": 10},
        {"name": "net", "unit": "images/s", "against": "floor", "ours": 9, "theirs": 12},
        {**pair, "ours": 11, "theirs": 10},
        {"name": "other", "note": "failed: no memory"},
    ]
    gpu = benchmark("gpu")
    first, second, third = gpu.to_rows(lines)
    assert (first.ours, first.theirs, first.ratios, first.is_met) == ([9, 11], [10, 10], [0.9, 1.1], True)
    assert (second.against, second.ratios) == ("floor", [0.75])
    assert third.note == "failed: no memory"
    assert gpu.to_page(lines).startswith("one GPU n counts pairs. Tests on the GPU: passed.\n\n| what |")


def test_run_within__a_cut_off_ends_all_that_was_started(benchmark, tmp_path):
    code = f"echo $$ > {tmp_path}/parent; (echo $BASHPID > {tmp_path}/child; exec sleep 3000) & wait"
    seconds = 0.1
    # on a busy machine it begins late
    while not (tmp_path / "child").is_file() or not (tmp_path / "child").read_text():
        assert benchmark("gpu").run_within(["bash", "-c", code], seconds)[0] is None
        seconds *= 2
    numbers = [(tmp_path / name).read_text().strip() for name in ("parent", "child")]
    wait_until(lambda: not any(map(is_alive, numbers)))


def is_alive(number):
    """Whether a process computes or waits; one that has ended may have nobody who asks for its exit code."""
    with contextlib.suppress(OSError):
        return ") Z " not in Path(f"/proc/{number}/stat").read_text()
    return False


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_gpu__rehearsal_measures_every_row_on_the_cpu(tmp_path):
    out = tmp_path / "rows.jsonl"
    command = [
        sys.executable,
        HERE / "gpu.py",
        "--cpu-rehearsal",
        "--pairs",
        "1",
        "--out",
        out,
        "--precision",
        "32-true",
    ]
    process = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert process.returncode == 0, process.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert "Precision: 32-true" in lines[0]["machine"]
    assert lines[1] == {"tests": "collected, not run"}
    comparisons = [(line["name"].split(",")[0], line["against"]) for line in lines[2:] if "against" in line]
    assert comparisons == [
        ("noise of CIFAR-10's size", "the same net and batches in a bare loop"),
        ("U-Net on resnet18", "the same in 32-true"),
        ("U-Net on resnet18", "a hand-written PyTorch loop"),
        ("U-Net on resnet18", "the loop on one batch that stays on the device"),
        ("tutorial CNN", "a hand-written PyTorch loop"),
    ]
    assert all(line["ours"] > 0 for line in lines[2:])
