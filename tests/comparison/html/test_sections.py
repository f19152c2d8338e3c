"""Numbers of each section, worked out by hand."""

import dataclasses
import re

import numpy as np
import pytest

from lightseg.comparison.html.sections import classes, details, format_number, matrices, ranking
from lightseg.comparison.results import Estimate
from tests.helpers.sparse import write_sparse


def cells(html: str) -> list[list[str]]:
    """Return the text of each row's cells."""
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [
        [re.sub("<[^>]+>", " ", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in rows
    ]


def test_ranking__rows_are_groups_best_first(make_comparison):
    head, first, second = [[" ".join(cell.split()) for cell in row] for row in cells(ranking(make_comparison()))]

    assert head[:5] == ["Group", "n", "mIoU, % ± sd", "95 % interval 87.3 100.0", "Against big"]
    assert first[:3] == ["big best", "2", "100.0 ± 1.0"]
    assert second[:3] == ["small", "2", "90.0 ± 1.0"]
    assert second[4:] == ["−10.0 −13.0 to −7.0", "16", "1.23 M", "1.50", "30.0", "1.50"]


def test_ranking__against_a_baseline_that_is_the_second_of_a_pair(make_comparison):
    first = cells(ranking(make_comparison(baseline=1)))[1]

    assert " ".join(first[4].split()) == "+10.0 7.0 to 13.0"


def test_ranking__many_verdicts_are_folded(make_comparison):
    html = ranking(make_comparison(labels=tuple("abcdefg")))

    assert html.index("a is better than e") < html.index("<summary>2 more</summary>") < html.index("a is better than f")


def test_ranking__many_long_labels_have_ranks_and_need_no_column_for_each_option(make_comparison):
    comparison = make_comparison(labels=tuple(f"encoder resnet18, net.width {8 * k}" for k in range(1, 5)))
    head, _, second, *_ = cells(ranking(comparison))

    assert "Against #1" in head
    assert not any("net.width" in cell for cell in head)
    assert "#2 encoder resnet18, net.width 16" in second[0]
    assert [" ".join(cell.split()) for cell in cells(classes(comparison))[0]][2:6] == ["#1", "#2", "#3", "#4"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1,234"), (0.01234, "0.0123"), (99.96, "100.0"), (0, "0.00"), (float("inf"), "–"), (float("nan"), "–")],
)
def test_number__has_three_digits(value, text):
    assert format_number(value) == text


def test_classes__only_the_difference_that_is_shown_is_marked(make_comparison):
    _, sky, road, _ = cells(classes(make_comparison()))

    assert " ".join(sky[2].split()) == "100.0 98.0 to 102.0"
    assert " ".join(sky[-1].split()) == "big by 10.0 (7.0 to 13.0; p = 0.001)"
    assert road[-1] == "none shown"


def test_classes__an_absent_class_has_no_row(make_comparison):
    comparison = make_comparison(labels=("only",))
    (group,) = comparison.groups
    nan = Estimate(np.nan, np.nan, np.nan, np.nan)
    for trial in group.trials:
        trial.counts[:, :, 0] = 0
    group = dataclasses.replace(group, classes=(nan, *group.classes[1:]))
    html = classes(dataclasses.replace(comparison, groups=(group,)))

    assert html.count('class="bar"') == 2
    assert [row[0] for row in cells(html)] == ["Class", "road", "car"]
    assert "Absent from the truth: sky, never predicted." in html


def test_ranking__folds_have_mean_deviation_and_range(make_comparison):
    comparison = make_comparison()
    assert "Folds" not in ranking(comparison)
    first, second = comparison.groups
    first = dataclasses.replace(first, folds=(0.5, 0.6, 0.85))
    head, big, small = cells(ranking(dataclasses.replace(comparison, groups=(first, second))))

    assert head[3].split() == ["Folds,", "%", "±", "sd"]
    assert big[3].split() == ["65.0", "±", "18.0", "50.0", "to", "85.0"]
    assert small[3] == "–"


def test_matrices__are_sums_over_runs_in_shares_of_the_truth(make_comparison):
    comparison = make_comparison(labels=("only",))
    for run, text in zip(comparison.groups[0].runs, ("1,0,0\n0,0,0\n0,0,9", "1,2,0\n0,0,0\n0,0,1"), strict=True):
        (run.folder / "confusion_test.csv").write_text(f"sky,road,car\n{text}\n")
    html = matrices(comparison)

    assert cells(html)[1:] == [["sky", "50", "50", "0"], ["road", "0", "0", "0"], ["car", "0", "0", "100"]]
    assert 'title="sky predicted as road: 50.0 %"' in html


def test_matrices__of_many_classes_leave_out_what_is_nought(make_comparison):
    html = matrices(make_comparison(labels=("only",), classes=tuple(f"class {index}" for index in range(50))))

    # 90 of 90 + 49 × 5 on the diagonal
    assert html.count("<td") == 50 * 50 + 1
    assert "26.9 %" in html
    assert 'class="matrix dense"' in html


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "is missing"), ("sky\n1", "is damaged"), ("a\nx", "is damaged")]
)
def test_matrices__say_which_file_is_wrong(make_comparison, content, reason):
    comparison = make_comparison()
    path = comparison.groups[1].runs[1].folder / "confusion_test.csv"
    path.write_text(content) if content else path.unlink()
    html = matrices(comparison)

    assert f"{path} {reason}" in html.replace("\n", "")
    assert html.count("<table") == 1


def test_ranking__the_input_where_it_differs_and_no_cost_where_runs_differ(make_comparison):
    comparison = make_comparison()
    first, second, third, _ = (run for group in comparison.groups for run in group.runs)
    first.cost["input"] = second.cost["input"] = [3, 16, 16]
    third.cost["parameters"] = 950
    head, big, small = cells(ranking(comparison))

    assert head[6:9] == ["Parameters", "GFLOPs", "Input"]
    assert big[6:9] == ["1.23 M", "1.50", "3×16×16"]
    assert small[6:9] == ["–", "1.50", "3×8×8"]


def test_details__a_fold_has_its_own_score(make_comparison):
    comparison = make_comparison(labels=("only",), split="val")
    (group,) = comparison.groups
    runs = tuple(run for trial in group.trials for run in trial.runs)
    for fold, run in enumerate(runs):
        run.config["data"]["init_args"]["fold"] = fold
        run.metrics["val/miou"] = 0.25 + fold / 2
    trial = dataclasses.replace(group.trials[0], runs=runs)
    group = dataclasses.replace(group, trials=(trial, dataclasses.replace(trial, runs=runs[:1])))
    rows = cells(details(dataclasses.replace(comparison, groups=(group,))))

    # the last is a run that stands alone, whose trial has its score
    assert [row[1:3] for row in rows[-3:]] == [["0, fold 0", "25.0"], ["0, fold 1", "75.0"], ["0, fold 0", "100.0"]]


def test_details__tell_where_each_run_comes_from(make_comparison):
    comparison = make_comparison()
    html = details(comparison)

    assert cells(html)[1] == ["net.width", "8", "16"]
    assert html.count("0123456789<") == 4
    assert str(comparison.groups[1].runs[0].folder) in html
    assert "with changes" in html


def test_details__a_command_that_is_a_link_to_a_local_file(make_comparison, tmp_path):
    (tmp_path / "secret").write_text("my password")
    comparison = make_comparison(labels=("only",))
    first, second = (trial.runs[0].folder / "command.txt" for trial in comparison.groups[0].trials)
    first.unlink()
    first.symlink_to(tmp_path / "secret")
    write_sparse(second)
    html = details(comparison)

    assert "my password" not in html
    assert "command.txt: is a link that leads out of its folder" in html
    assert "command.txt: is damaged (it is longer than 1048576 bytes)" in html


def test_matrices__a_file_of_terabytes(make_comparison):
    comparison = make_comparison(labels=("only",))
    write_sparse(comparison.groups[0].trials[0].runs[0].folder / "confusion_test.csv")
    assert "is damaged (it is longer than" in matrices(comparison)
