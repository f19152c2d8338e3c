"""Numbers and pictures of a run that a view lacks."""

import json

from lightseg.tracking.picture_view import PictureView


class View(PictureView):
    def __init__(self, folder, newest=-1):
        super().__init__(folder, newest)
        self.written = []

    def end(self, exit_code):
        pass

    def _write(self, step, numbers, pictures):
        self.written.append((step, dict(numbers), [*pictures]))


def test_complete__sends_the_last_row_of_a_finished_run_with_its_results(tmp_path):
    lines = [{"step": 0, "val/score": 0.5}, {"step": 3, "val/score": 0.25}, {"step": 3, "test/score": 0.4}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    view = View(tmp_path)
    view.follow()
    view.complete()
    assert [step for step, *_ in view.written] == [0]
    (tmp_path / "images").mkdir()
    (tmp_path / "images/confusion.png").touch()
    (tmp_path / "images/precision_recall.png").touch()
    (tmp_path / "metrics.json").write_text(json.dumps({"test/score": 0.4, "train/seconds": 7, "val/score": 0.5}))
    view.complete()
    view.complete()
    results = {"test/score": 0.4, "train/seconds": 7, "val/score.max": 0.5, "best_val_score": 0.5, "val/score": 0.25}
    assert view.written[1:] == [
        (3, {"trainer/global_step": 3, **results}, ["test/confusion_matrix", "test/precision_recall"])
    ]


def test_send__leaves_out_what_the_tool_has(tmp_path):
    lines = [{"step": step, "train/loss": 1.0} for step in (0, 1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    view = View(tmp_path, newest=1)
    view.follow()
    assert [step for step, *_ in view.written] == [2]
