import pytest

from lightseg.errors import ConfigError
from lightseg.fit import main, run_series
from lightseg.series.options import parse


def test_options__every_fold_of_every_point_at_every_seed():
    request = parse(
        ["--folds=2", "--seeds=1,2", "--grid", "model.net.width=4,8", "--group", "g", "--jobs", "3", "-c", "a"]
    )
    assert request.arguments == ["-c", "a"]
    assert (request.group, request.jobs, request.resumed) == ("g", 3, None)
    assert request.runs == [
        {"seed_everything": seed, "model.net.width": width, "data.folds": "2", "data.fold": fold}
        for seed in ("1", "2")
        for width in ("4", "8")
        for fold in ("0", "1")
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0,x"], "--seeds: 0,x: give whole numbers from 0 on, each once, such as 0,1,2"),
        (["--seeds", "1,2,1"], "each once"),
        (["--seeds", "-1"], "from 0 on"),
        (["--seeds", "0,"], "such as 0,1,2"),
        (["--seeds", "0,4294967296"], "--seeds: 0,4294967296: 4294967296 is not a seed; give 4294967295 at most"),
        (["--seeds"], "--seeds: expected one argument"),
        (["--seeds", "0", "--seed_everything", "1"], "give --seeds or --seed_everything, not both"),
        (["--seeds", "0", "--resume", "runs/a"], "--resume runs/a: goes on with one run; leave out --seeds"),
        (["--folds", "1"], "--folds: 1: give a number of folds from 2 on"),
        (["--folds", "many"], "from 2 on"),
        (
            ["--find", "lr", "--grid", "model.optimizer.init_args.lr=1,2"],
            "give --find lr or --grid model.optimizer.lr, not both",
        ),
        (["--folds", "5", "--data.fold", "1"], "give --folds or --data.fold, not both"),
        (["--folds", "5", "--data.init_args.folds=3"], "give --folds or --data.fold, not both"),
        (["--jobs", "2"], "--jobs: belongs to several runs; give --seeds, --folds or --grid, too"),
        (["--jobs", "0", "--seeds", "0"], "--jobs: 0: give the number of runs at a time, from 1 on"),
        (["--grid", "model.optimizer.lr=1"], "give two values or more"),
        (["--grid"], "--grid: expected at least one argument"),
    ],
)
def test_options__bad_ones(capfd, words, message):
    assert main(words) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", "1000000000"], "--folds: 1,000,000,000 runs; give 10,000 at most"),
        (["--folds", "5001", "--seeds", "0,1"], "--seeds, --folds: 10,002 runs"),
        (["--folds", "4000", "--grid", "model.net.width=1,2,3"], "--folds, --grid: 12,000 runs"),
    ],
)
def test_options__too_many_runs_are_refused_before_they_are_listed(options, message):
    with pytest.raises(ConfigError, match=message):
        run_series(options)


def test_options__a_series_that_only_prints_is_its_first_run(fit, recipe, capsys):
    with pytest.raises(SystemExit) as end:
        fit("--config", recipe(), "--seeds", "7,8", "--grid", "model.net.width=6,8", "--print_config")
    out = capsys.readouterr().out
    assert not end.value.code
    assert "seed_everything: 7\n" in out
    assert "width: 6\n" in out
