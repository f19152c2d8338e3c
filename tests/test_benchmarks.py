"""What the benchmarks say and how they end; how fast anything is, they are there to measure."""

import importlib
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1] / "experiments/benchmarks"

SIDE = """
import sys
from turns import tell, wait_for_turn
for epoch in range(3):
    wait_for_turn()
    {does}
    tell(f"epoch {{epoch + 1}}")
tell("version 7")
"""


@pytest.fixture
def benchmark(monkeypatch):
    """A module of the benchmarks by name."""
    monkeypatch.syspath_prepend(HERE)
    return importlib.import_module


@pytest.fixture
def take_turns(benchmark, tmp_path):
    """Two sides that take turns; each given what it does in an epoch."""

    def run(*does):
        turns = benchmark("turns")
        sides = [turns.Side([sys.executable, "-c", SIDE.format(does=each)]) for each in does]
        turns.take_turns(sides, str(tmp_path), {"PYTHONPATH": str(HERE)})
        return sides

    return run


def test_take_turns__epoch_by_epoch_and_not_both_at_once(take_turns, tmp_path):
    note = "open('log', 'a').write('{}')"
    sides = take_turns(note.format("a"), note.format("b"))
    assert (tmp_path / "log").read_text() == "ababab"
    assert [side.seconds for side in sides] == [[1, 2, 3]] * 2
    assert sides[0].told == {"version": "7"}


def test_take_turns__a_side_that_says_much_is_not_waited_for_in_vain(take_turns):
    # more than a pipe holds
    sides = take_turns("print('x' * 1_000_000, file=sys.stderr)", "pass")
    assert sides[0].seconds == [1, 2, 3]


def test_take_turns__where_one_side_fails_it_is_said_and_the_other_ends(take_turns, benchmark, monkeypatch):
    begun = []
    start = benchmark("turns").Side.start
    monkeypatch.setattr(benchmark("turns").Side, "start", lambda side, *args: (start(side, *args), begun.append(side)))
    with pytest.raises(SystemExit, match="ValueError: broken"):
        take_turns("if epoch: raise ValueError('broken')", "pass")
    assert [side._process.returncode for side in begun] == [1, -9]


def test_side__ends_when_the_benchmark_is_no_more(benchmark, tmp_path):
    side = benchmark("turns").Side([sys.executable, "-c", SIDE.format(does="open('trained', 'w')")])
    side.start(str(tmp_path), {"PYTHONPATH": str(HERE)})
    assert side.until_ready()
    os.close(side._go)
    with pytest.raises(SystemExit, match="the benchmark has ended"):
        side.until_ready()
    assert not (tmp_path / "trained").exists()
    side._lines.close(), side._errors.close()


def test_arguments__are_those_of_the_usage(benchmark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    arguments = benchmark("table").arguments("usage: python x.py [--pairs N] [--camvid ROOT]")
    options = arguments.parse_args(["--camvid", "data"])
    assert vars(options) == {"pairs": 5, "camvid": str(tmp_path / "data")}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--camvid", "nowhere"], "nowhere does not exist"),
        (["--pairs", "0"], "0 is no number from 1 on"),
        (["--cifar", "."], "unrecognized arguments: --cifar"),
    ],
    ids=str,
)
def test_arguments__what_is_wrong_is_said_before_anything_is_measured(benchmark, capsys, given, said):
    arguments = benchmark("table").arguments("usage: python x.py [--pairs N] [--camvid ROOT]")
    with pytest.raises(SystemExit, match="2"):
        arguments.parse_args(given)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ours", "theirs", "less", "target", "shown", "met"),
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
def test_row__of_two(benchmark, ours, theirs, less, target, shown, met):
    table = benchmark("table")
    row = table.Row("what", "unit", ours, "the other", theirs, target, less)
    assert row.met is met
    assert table.markdown([row]).endswith(f"| {shown} |")


@pytest.mark.parametrize(
    ("seconds", "shown", "met"), [([2, 3], "≤ 3", True), ([4, 5], "≤ 3 **missed**", False), ([], "≤ 3", None)], ids=str
)
def test_row__that_stands_alone(benchmark, seconds, shown, met):
    table = benchmark("table")
    row = table.Row("what", "s", seconds, target=3, less_is_better=True)
    assert row.met is met
    assert table.markdown([row]).endswith(f"| {shown} |")
