import json
import re
import sys

import pytest

from lightseg.runs.series import Plan, Series
from lightseg.series import progress
from lightseg.series.pool import NEW_PROCESS
from lightseg.series.progress import Progress, error_text, last_line, status_line


@pytest.fixture
def series(tmp_path):
    """A series of four runs, without a process."""
    seeds = [{"seed_everything": str(seed)} for seed in range(4)]
    return Series.create(str(tmp_path), "name", Plan([], "", "g", None, seeds), "20260102T030405-a1b2")


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def finish(series, index, **metrics):
    series.run_folders[index].mkdir()
    (series.run_folders[index] / "metrics.json").write_text(json.dumps(metrics))


def test_progress__lines(series, clock, capsys):
    with Progress(series, 2) as lines:
        lines.begin(0, is_resumed=False)
        lines.begin(1, is_resumed=True)
        series.output(0).write_text("epoch 1/3  train loss 0.5\n\n")
        series.output(1).write_text("epoch 2/3\x1b[2K\nlightseg: error: broken\nGo on with: …\n")
        clock[0] = 29
        lines.update(waiting=2)
        clock[0] = 31
        lines.update(waiting=2)
        finish(series, 0, **{"val/score": 0.25, "test/score": 0.5})
        lines.end(0, 0)
        lines.end(1, 9)
        lines.begin(2, is_resumed=False)
        clock[0] = 131
        # the next lines come 30 seconds after the last ones
        lines.update(waiting=1)
        clock[0] = 162
        lines.update(waiting=0)
    out = capsys.readouterr().out.replace(f"{series.folder}/", "")
    assert out.splitlines() == [
        "seed 0: begins, output in 00.txt",
        "seed 1: goes on, output in 01.txt",
        "seed 0: epoch 1/3 train loss 0.5",
        "seed 1: broken",
        "0 of 4 runs finished, 2 running; 31 s so far",
        "seed 0: finished in 31 s, val score 0.2500, test score 0.5000",
        "seed 1: failed with exit code 9: broken",
        "seed 2: begins, output in 02.txt",
        "seed 2: no output yet",
        # one that waits takes 31 s, and the running one is over its time, on two places
        "1 of 4 runs finished, 1 failed, 1 running; 2 min so far, about 16 s left",
        "seed 2: no output yet",
        "2 of 4 runs finished, 1 failed, 1 running; 3 min so far",
    ]


def test_progress__on_a_terminal_one_line_per_run_is_shown_anew(series, clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    with Progress(series, 2) as lines:
        lines.begin(0, is_resumed=False)
        series.output(0).write_text(f"epoch 1/3 {'long ' * 30}\n")
        for clock[0] in (1.0, 2.0):
            lines.update(waiting=3)
        finish(series, 0)
        lines.end(0, 0)
    out = capsys.readouterr().out
    assert out.count("seed 0: epoch 1/3 long") >= 2
    # if the process is killed, they remain as they are, and the cursor is there
    assert re.search(r"at \d\d:\d\d:\d\d: 0 of 4 runs finished, 1 running; 1 s so far", out)
    assert re.search(r"at \d\d:\d\d:\d\d: 0 of 4 runs finished, 1 running; 2 s so far", out)
    assert "\x1b[?25h" in out.partition("seed 0: begins")[0]
    assert "seed 0: finished in 2 s" in out
    shown = re.sub(r"\x1b\[[?\d;]*\w", "", out).replace("\r", "\n")
    # a line is cut to the width of the terminal
    assert max(map(len, shown.split("\n"))) <= 60


def test_progress__a_pruned_run_is_not_finished(series, clock, capsys):
    with Progress(series, 1) as lines:
        lines.begin(0, is_resumed=False)
        lines.prune(0)
        lines.begin(1, is_resumed=False)
        clock[0] = 31
        lines.update(waiting=2)
    out = capsys.readouterr().out.splitlines()
    assert out[1] == "seed 0: pruned"
    assert out[-1] == "0 of 4 runs finished, 1 pruned, 1 running; 31 s so far"


def test_progress__runs_that_failed_or_were_pruned_before_are_not_finished(series, clock, capsys):
    with Progress(series, 1, failed=1, pruned=1) as lines:
        lines.begin(2, is_resumed=False)
        clock[0] = 31
        lines.update(waiting=1)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "0 of 4 runs finished, 1 failed, 1 pruned, 1 running; 31 s so far"


def test_progress__the_error_of_a_run(series):
    assert error_text(series, 0) == ""
    assert last_line(series, 0) == "no output yet"
    series.output(0).write_text("x" * 2**14 + "\nlightseg: error: first\nlightseg: error: a\x1b\nb\n")
    assert error_text(series, 0) == "a\\x1b\nb"
    assert last_line(series, 0) == "a\\x1b"
    with series.output(0).open("a") as file:
        file.write(NEW_PROCESS)
    assert (error_text(series, 0), last_line(series, 0)) == ("", "no output yet")


def test_progress__a_running_run_shows_how_far_it_is_not_its_warnings_and_tables(series):
    assert status_line(series, 0) == "no output yet"
    series.output(0).write_text("warning: a\n")
    assert status_line(series, 0) == "warning: a"
    series.output(0).write_text("lightseg 0.1.0: a.yaml\nepoch 1/2  step 5\nepoch 2/2  step 10\nwarning: b\nIf so, c\n")
    assert status_line(series, 0) == "epoch 2/2 step 10"
    assert last_line(series, 0) == "If so, c"
