"""Messages about what a tool has of a run."""

import json

import pytest

from lightseg.errors import RunError, UserError
from lightseg.tracking.delivery import Receiver, deliver
from lightseg.tracking.picture_view import PictureView


class View(PictureView):
    def __init__(self, folder, newest=-1, error=None):
        super().__init__(folder, newest)
        self.error, self.exit_codes = error, []

    def end(self, exit_code):
        self.exit_codes.append(exit_code)

    def _write(self, step, numbers, pictures):
        if self.error:
            raise self.error


@pytest.fixture
def folder(tmp_path):
    lines = [{"step": step, "train/loss": 1.0} for step in (0, 2, 5)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


@pytest.mark.parametrize(
    ("newest", "message"),
    [
        (-1, "2 steps and 0 pictures sent, Tool has it up to step 2; the run is not finished"),
        (0, "1 step and 0 pictures sent, Tool has it up to step 2; the run is not finished"),
        (2, "Tool has all of it already"),
    ],
)
def test_deliver__counts_what_was_sent(folder, newest, message):
    assert deliver(folder, Receiver("Tool", lambda _: newest, lambda _: View(folder, newest))) == message


def test_deliver__an_error_of_the_tool_ends_its_view(folder):
    view = View(folder, error=OSError("lost\nconnection"))
    with pytest.raises(RunError, match="Tool: lost connection; call sync again, it goes on where this ended"):
        deliver(folder, Receiver("Tool", lambda _: -1, lambda _: view))
    assert view.exit_codes == [1]


def test_deliver__nothing_is_asked_of_the_tool_for_a_damaged_log_or_an_empty_one(folder):
    (folder / "metrics.jsonl").write_text('{"step": 0}\ngarbage\n')
    with pytest.raises(UserError, match=r"metrics.jsonl line 2: is damaged"):
        deliver(folder, Receiver("Tool", None, None))
    (folder / "metrics.jsonl").write_text('{"step": 0}\n')
    assert deliver(folder, Receiver("Tool", None, None)) == "there is no whole step yet"
