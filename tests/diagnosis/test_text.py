"""Output of a diagnosis."""

import json

import pytest

from lightseg.diagnosis.brightness import Brightness
from lightseg.diagnosis.classes import ClassRow
from lightseg.diagnosis.diagnosis import Diagnosis
from lightseg.diagnosis.findings import Finding
from lightseg.diagnosis.text import show, verdict, write_json

ERROR = Finding("size", "error", "masks of another size", "resize them\nor remove them", [f"{n}.png" for n in range(7)])
NOTE = Finding("sheet", "note", "a \x1b[31mcolor", "nothing")
ROWS = [ClassRow("sky", 7500, 0.75, (3, 2, 1), 40, 12.4), ClassRow("[b]car", 2500, 0.25, (1, 0, 0), None, None)]
DIAGNOSIS = Diagnosis([ERROR, NOTE], {"train": 1200, "val": 2}, ROWS, Brightness([0.5], [0.25], [0.4], [0.2]))


@pytest.mark.parametrize(
    ("findings", "line"),
    [
        ([], "clean"),
        ([NOTE], "clean: 1 note"),
        ([NOTE, ERROR, ERROR], "not clean: 2 errors, 1 note"),
        ([Finding("x", "warning", "", "")], "not clean: 1 warning"),
    ],
)
def test_verdict__counts_by_severity(findings, line):
    assert verdict(Diagnosis(findings)) == line


def test_show__statistics_then_findings_with_their_first_files(capsys):
    show(DIAGNOSIS, ["a further line"])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "samples: train 1,200, val 2"
    sky, car = (next(line for line in lines if name in line).split() for name in ("sky", "[b]car"))
    assert sky == ["sky", "7,500", "75.00", "3", "2", "1", "40", "12"]
    assert car == ["[b]car", "2,500", "25.00", "1", "0", "0", "–", "–"]
    assert "a further line" in lines
    start = lines.index("1. error  size")
    assert lines[start + 1 : start + 5] == [
        "   masks of another size",
        "   7 files: 0.png, 1.png, 2.png, 3.png, 4.png and 2 more",
        "   mend: resize them",
        "   or remove them",
    ]
    assert not any("\x1b" in line for line in lines)
    assert lines[-1] == "not clean: 1 error, 1 note"


def test_show__of_class_ids_has_no_sizes(capsys):
    show(Diagnosis([], {"train": 3}, [ClassRow("cat", 3, 1.0, (3, 0, 0), None, None)]))
    out = capsys.readouterr().out
    assert "samples" in out
    assert "smallest" not in out
    assert "pixels" not in out


def test_write_json__has_all_files(tmp_path):
    write_json(DIAGNOSIS, tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["samples"] == {"train": 1200, "val": 2}
    assert [finding["check"] for finding in content["findings"]] == ["size", "sheet"]
    assert content["findings"][0]["files"] == list(ERROR.files)
    assert content["classes"][0]["images"] == [3, 2, 1]
    assert content["brightness"]["used_mean"] == [0.4]
