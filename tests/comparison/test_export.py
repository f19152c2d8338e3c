"""CSV and JSON of a comparison."""

import csv
import json

from lightseg.comparison import export
from lightseg.comparison.text import verdicts


def test_write_csv__a_row_for_each_group(comparison, tmp_path):
    export.write_csv(comparison, tmp_path / "new" / "groups.csv")
    rows = list(csv.DictReader((tmp_path / "new" / "groups.csv").read_text().splitlines()))
    assert [(row["group"], row["n"], row["config/width"], row["IoU/car"]) for row in rows] == [
        ("width 5", "2", "5", ""),
        ("width 4", "2", "4", ""),
    ]
    assert float(rows[0]["mIoU"]) == comparison.groups[0].score.value


def test_write_json__everything(comparison, tmp_path):
    export.write_json(comparison, tmp_path / "all.json")
    content = json.loads((tmp_path / "all.json").read_text())
    pair = content["pairs"][0]
    assert (pair["first"], pair["second"], content["best"]) == ("width 5", "width 4", "width 5")
    assert pair["difference"]["value"] == comparison.pairs[0].difference.value
    assert pair["classes"]["car"] == {"value": None, "low": None, "high": None, "p": None}
    assert pair["words"] == verdicts(comparison)[0]
    assert [trial["seed"] for trial in content["groups"][0]["trials"]] == [0, 1]
    assert content["groups"][1]["trials"][0]["runs"] == [str(comparison.groups[1].runs[0].folder)]
