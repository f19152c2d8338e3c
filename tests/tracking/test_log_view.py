"""Rows of a log, as a view sends them."""

import json

from lightseg.tracking.log_view import LogView


class View(LogView):
    def __init__(self, folder):
        super().__init__(folder)
        self.rows = []

    def _send(self, row):
        self.rows.append(row)
        self._update_extremes(row)


def test_follow__sends_complete_rows_once(tmp_path):
    view, log = View(tmp_path), tmp_path / "metrics.jsonl"
    view.follow()
    with log.open("a") as file:
        for line in ({"step": 0, "val/score": 0.5}, {"step": 0, "val/loss": 2.0}, {"step": 3, "val/score": 0.25}):
            file.write(json.dumps(line) + "\n")
        file.write('{"step": 4, "val/')
    view.follow()
    view.follow()
    first = {"trainer/global_step": 0, "val/score": 0.5, "val/loss": 2.0, "best_val_score": 0.5}
    assert view.rows == [first]
    with log.open("a") as file:
        file.write('loss": 1.0}\n{"step": 5, "a": 1}\n')
    view.follow()
    assert [row["trainer/global_step"] for row in view.rows] == [0, 3, 4]
    assert view._extremes == {"val/score": {"max": 0.5}, "val/loss": {"min": 1.0}}
