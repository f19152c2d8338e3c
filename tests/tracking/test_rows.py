"""Rows of the W&B history from lines of the log."""

from lightseg.tracking.rows import RowMerger, summary_of


def _rows(*lines):
    rows = RowMerger()
    return [row for line in lines if (row := rows.add(line))], rows


def test_rows__lines_of_one_step_are_one_row_once_a_later_step_comes():
    complete_rows, rows = _rows(
        {"step": 1, "lr": 0.5}, {"step": 1, "train/loss": 2.0, "epoch": 0}, {"step": 2, "lr": 0.4}
    )
    assert complete_rows == [{"trainer/global_step": 1, "lr": 0.5, "train/loss": 2.0, "epoch": 0}]
    assert rows.newest() == {"trainer/global_step": 2, "lr": 0.4}


def test_rows__a_line_without_a_step_or_of_an_earlier_one_belongs_to_the_newest():
    complete_rows, _ = _rows({"step": 4, "a": 1}, {"step": None, "b": 2}, {"step": 3, "c": 3}, {"step": 5, "a": 9})
    assert complete_rows == [{"trainer/global_step": 4, "a": 1, "b": 2, "c": 3}]


def test_rows__first_line_without_a_step_is_step_0():
    complete_rows, _ = _rows({"step": None, "a": 1}, {"step": 1, "a": 2})
    assert complete_rows == [{"trainer/global_step": 0, "a": 1}]


def test_rows__what_is_not_finite_is_no_point():
    complete_rows, _ = _rows({"step": 0, "val/iou/cat": None, "val/iou/dog": 0.5}, {"step": 1})
    assert complete_rows == [{"trainer/global_step": 0, "val/iou/dog": 0.5}]


def test_rows__best_score_is_in_every_row_that_has_a_score():
    scores = [0.2, 0.5, 0.4]
    lines = [{"step": step, "val/score": score} for step, score in enumerate(scores)]
    complete_rows, rows = _rows(*lines, {"step": 3, "train/loss": 1.0}, {"step": 4})
    assert [row.get("best_val_score") for row in complete_rows] == [0.2, 0.5, 0.5, None]
    assert rows.best_step == 1


def test_rows__none_without_lines():
    assert RowMerger().newest() is None


def test_summary_of__best_of_what_is_measured_again_and_again():
    names = [
        "val/score",
        "val/iou/cat",
        "val/loss",
        "train/loss",
        "test/score",
        "test/loss",
        "lr-AdamW",
        "best_val_score",
    ]
    assert [summary_of(name) for name in names] == ["max", "max", "min", "min", None, None, None, None]
