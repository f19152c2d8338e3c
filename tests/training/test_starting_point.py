"""Trained models that a training starts from."""

import json

from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.training.starting_point import take_starting_point

ORIGIN = {"run": "first/1", "file": "best.ckpt", "sha256": "0" * 64, "score": 0.5, "classes": ["circle"]}


def test_take_starting_point__a_resumed_run_keeps_its_lineage(tmp_path, recipe):
    cli = LightsegCLI(["--config", str(recipe())])
    assert take_starting_point(cli, None).lineage == {}
    (tmp_path / "model.json").write_text(json.dumps({"parameters": 1, "init": ORIGIN, "extend": None}))
    start = take_starting_point(cli, tmp_path)
    # the checkpoint of the run has the weights, if there is one
    assert (start.initial_weights, start.lineage, start.lines) == (None, {"init": ORIGIN}, [])
