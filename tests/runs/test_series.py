import pytest

from lightseg.errors import UserError
from lightseg.files.names import METRICS
from lightseg.runs.read import find
from lightseg.runs.series import Plan, Series, find_series, has_begun, is_series, job_type
from tests.comparison.fabricate import write_run

STAMP = "20260102T030405-a1b2"


def make(tmp_path, number=3, stamp=STAMP):
    seeds = [{"seed_everything": str(seed), "data.folds": "5", "data.fold": "1"} for seed in range(number)]
    return Series.create(str(tmp_path), "name", Plan(["-c", "a"], "hash", "group", 2, seeds), stamp)


def test_series__is_read_as_it_was_written(tmp_path):
    series = make(tmp_path)
    assert series.folder == tmp_path / f"name/series-{STAMP}"
    assert is_series(series.folder)
    assert not is_series(tmp_path)
    assert Series.read(series.folder) == series
    assert series.label(2) == "seed 2, fold 1"
    assert series.run_folders[2] == tmp_path / f"name/{STAMP}-02"
    assert series.output(2) == series.folder / "02.txt"
    assert make(tmp_path, 101, "b").run_folders[7].name == "b-007"
    with pytest.raises(UserError, match="File exists"):
        make(tmp_path)


def test_series__state_is_that_of_the_run_folders(tmp_path):
    series = make(tmp_path)
    assert series.unfinished() == [0, 1, 2]
    assert series.first_begun() is None
    for folder in series.run_folders[1:]:
        folder.mkdir()
        (folder / "config.yaml").touch()
    assert series.first_begun() is None
    (series.run_folders[2] / "git.json").touch()
    assert series.first_begun() == series.run_folders[2]
    assert [has_begun(folder) for folder in series.run_folders] == [False, False, True]
    (series.run_folders[2] / METRICS).touch()
    assert series.unfinished() == [0, 1]


def test_series__newest_first_without_damaged_ones(tmp_path):
    first, second = make(tmp_path, stamp="a"), make(tmp_path, stamp="b")
    (make(tmp_path, stamp="c").folder / "plan.json").write_text("[]")
    assert find_series(tmp_path / "name") == [second, first]
    assert find_series(tmp_path / "nowhere") == []


def test_series__renamed_folder_is_named(tmp_path):
    folder = make(tmp_path).folder.rename(tmp_path / "other")
    with pytest.raises(UserError, match="other: no folder of a series, whose name starts with series-"):
        Series.read(folder)


def test_series__its_finished_runs_are_found_for_a_comparison(tmp_path):
    series = make(tmp_path)
    for index in (0, 2):
        write_run(series.run_folders[index])
    (series.run_folders[2] / METRICS).unlink()
    write_run(tmp_path / "name/of-another-series")
    runs, notes = find([str(series.folder)])
    assert [run.folder for run in runs] == [series.run_folders[0]]
    assert notes == [
        f"{series.run_folders[2]} is not finished; it is left out",
        f"{series.folder}: runs that have not begun, and are left out: 1",
    ]


@pytest.mark.parametrize(("folder", "expected"), [("series-a", "series"), ("search-a", "trial"), ("series-b", "fit")])
def test_job_type__by_the_folder_beside_the_run(tmp_path, folder, expected):
    (tmp_path / folder).mkdir()
    assert job_type(tmp_path / "a-01") == expected
