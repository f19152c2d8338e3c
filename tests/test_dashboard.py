"""The W&B workspace: the same for the same arguments, made of what runs log, and made on the service."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.dashboard import CHOICES, main
from tests.conftest import ROOT
from tests.helpers.fake_wandb import FakeWandb, account

CONFIG = """
model:
  init_args:
    net: {class_path: lightseg.nets.UNet, init_args: {width: 8}}
    loss: {ce: 1.0, dice: 1.0}
    optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.01}}
data:
  init_args: {batch_size: 4}
"""


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG)
    line = {"step": 1, "val/score": 0.5, "val/iou/sky": 0.4, "val/iou/car": 0.6, "val/loss": 1.0}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    return folder


def dashboard(env, cwd, *arguments):
    command = [sys.executable, "-m", "lightseg.dashboard", *arguments]
    return subprocess.run(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def panels(workspace: dict, kind: str | None = None) -> list[dict]:
    sections = workspace["spec"]["section"]["panelBankConfig"]["sections"]
    return [panel for section in sections for panel in section["panels"] if kind in (None, panel["viewType"])]


def every(content, key: str) -> list:
    """All values at a key, at any depth; those of a list one by one."""
    if isinstance(content, list):
        return [value for item in content for value in every(item, key)]
    if not isinstance(content, dict):
        return []
    here = content.get(key, [])
    here = here if isinstance(here, list) else [here]
    return here + [value for item in content.values() for value in every(item, key)]


def test_dry_run__is_what_is_checked_in(capsys):
    # written by: python -m lightseg.dashboard lightseg --dry-run > tests/helpers/dashboard.json
    assert main(["lightseg", "--dry-run"]) == 0
    assert capsys.readouterr().out == (ROOT / "tests/helpers/dashboard.json").read_text()


def test_dry_run__ids_are_distinct(capsys):
    main(["lightseg", "--dry-run"])
    ids = [panel["__id__"] for panel in panels(json.loads(capsys.readouterr().out))]
    assert len(ids) == len(set(ids)) > 10


def test_from__classes_and_choices_are_the_runs(capsys, run_folder):
    assert main(["lightseg", "--from", str(run_folder), "--dry-run"]) == 0
    workspace = json.loads(capsys.readouterr().out)
    curves = [panel["config"].get("metrics") for panel in panels(workspace, "Run History Line Plot")]
    assert [curve for curve in curves if curve and "iou" in curve[0]] == [["val/iou/sky"], ["val/iou/car"]]
    bars = [panel["config"]["metrics"] for panel in panels(workspace, "Bar Chart")]
    assert [bar for bar in bars if "iou" in bar[0]] == [["test/iou/sky"], ["test/iou/car"]]
    (parallel,) = panels(workspace, "Parallel Coordinates Plot")
    assert [column["accessor"] for column in parallel["config"]["columns"]] == [
        "config:model.value.init_args.net.class_path",
        "config:model.value.init_args.net.init_args.width",
        "config:model.value.init_args.optimizer.class_path",
        "config:model.value.init_args.optimizer.init_args.lr",
        "config:model.value.init_args.loss.ce",
        "config:model.value.init_args.loss.dice",
        "config:data.value.init_args.batch_size",
        "summary:best_val_score",
    ]
    assert [column.get("displayName") for column in parallel["config"]["columns"]][:4] == [
        "net",
        "net.width",
        "optimizer",
        "optimizer.lr",
    ]
    assert [column.get("log") for column in parallel["config"]["columns"]].count(True) == 1


def test_from__a_run_that_was_never_scored_shows_what_the_others_have(capsys, run_folder):
    (run_folder / "metrics.jsonl").unlink()
    assert main(["lightseg", "--from", str(run_folder), "--dry-run"]) == 0
    workspace = json.loads(capsys.readouterr().out)
    assert "^val/(iou|f1|recall)/.+$" in every(workspace, "metricRegex")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lightseg", "--dryrun"], "unrecognized arguments: --dryrun"),
        (["--dry-run"], "the following arguments are required: PROJECT"),
        (["lightseg", "--from", "nowhere", "--dry-run"], "--from nowhere: no run folder"),
    ],
)
def test_error__is_one_message(capsys, arguments, message):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"lightseg: error: {message}")
    assert len(err.splitlines()) == 1
    assert out == ""


def test_error__package_not_installed(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "lightseg.tracking.wandb_workspace", raising=False)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert main(["lightseg", "--dry-run"]) == 2
    assert "pip install 'wandb-workspaces" in capsys.readouterr().err


def test_error__no_key_is_said_without_a_question(tmp_path):
    # at a terminal, where wandb would ask
    ours, theirs = pty.openpty()
    env = {**account(tmp_path), "WANDB_BASE_URL": "http://127.0.0.1:1"}
    command = [sys.executable, "-m", "lightseg.dashboard", "demo"]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    try:
        assert subprocess.run(command, env=env, cwd=tmp_path, **streams).returncode == 2
        message = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "no API key; run `wandb login`" in message
    assert len(message.strip().splitlines()) == 1


def test_save__the_service_gets_what_dry_run_prints(tmp_path, capsys):
    arguments = ["demo", "--baseline", "abc12345"]
    with FakeWandb() as service:
        done = dashboard(service.env(tmp_path), tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    (view,) = service.views.values()
    assert (view["entityName"], view["projectName"], view["displayName"]) == ("fake", "demo", "lightseg")
    name = re.fullmatch("nw-(.+)-v", view["name"])[1]
    assert done.stdout == f"workspace: {service.url}/fake/demo?nw={name}\n"
    main([*arguments, "--entity", "fake", "--dry-run"])
    sent, printed = {"spec": json.loads(view["spec"])}, json.loads(capsys.readouterr().out)
    # W&B gets random ids, which must be distinct
    assert len({panel["__id__"] for panel in panels(sent)}) == len(panels(printed))
    for panel, printed_panel in zip(panels(sent), panels(printed), strict=True):
        panel["__id__"] = printed_panel["__id__"]
    assert sent["spec"] == printed["spec"]
    assert service.unknown == []


def test_save__a_refusal_is_one_message(tmp_path):
    with FakeWandb() as service:
        service.fail = lambda method, path, op: 403 if op == "UpsertView2" else None
        done = dashboard(service.env(tmp_path), tmp_path, "demo", "--entity", "team")
    assert done.returncode == 2
    assert done.stderr.startswith("lightseg: error: W&B did not take the workspace: ")
    assert "403" in done.stderr
    assert "Traceback" not in done.stderr


def test_choices__are_options_of_the_recipes(monkeypatch):
    monkeypatch.chdir(ROOT)
    options = set()
    for recipe in ("experiments/shapes/unet.yaml", "experiments/camvid/unet_small.yaml"):
        config = yaml.safe_load(LightsegCLI(["--config", recipe]).resolved_config())
        options |= {choice for choice in CHOICES if has(config, choice)}
    assert options == set(CHOICES)


@pytest.mark.slow
def test_workspace__asks_for_nothing_that_a_run_does_not_log(launch, recipe, capsys):
    process = launch("--config", recipe(), "--config", "configs/logging/wandb.yaml", WANDB_MODE="offline")
    out, err = process.communicate()
    assert process.returncode == 0, err
    folder = out.strip().splitlines()[-1].removeprefix("run: ")
    log = logged(Path(folder))
    general, from_run = (["lightseg", "--dry-run", *more] for more in ([], ["--from", folder]))
    for arguments in (general, from_run):
        main(arguments)
        workspace = json.loads(capsys.readouterr().out)
        metrics = {name for key in ("metrics", "xAxis", "mediaKeys") for name in every(workspace, key)} - {"_step"}
        metrics |= {field["value"] for field in every(workspace, "args") if field["name"] == "tableKey"}
        metrics |= {value for value in every(workspace, "val") if isinstance(value, str) and "/" in value}
        assert {"val/score", "val/samples", "test/confusion_matrix_table", "test/worst"} <= metrics
        assert metrics <= log["summary"].keys()
        for regex in every(workspace, "metricRegex"):
            assert any(re.search(regex, name) for name in log["summary"])
        # what stands for a run in one number is one, and not {"max": …}
        numbers = {*every(panels(workspace, "Bar Chart"), "metrics"), *every(workspace, "targetKey")}
        assert {"best_val_score", "test/score"} <= numbers
        assert [name for name in numbers if not isinstance(log["summary"][name], int | float)] == []
    assert {"val/iou/circle", "test/iou/circle"} <= metrics
    *axes, result = every(panels(workspace, "Parallel Coordinates Plot"), "accessor")
    assert result == "summary:best_val_score"
    for axis in axes:
        assert has(log["config"], axis.removeprefix("config:").replace(".value.", ".")), axis


def logged(folder: Path) -> dict:
    """What wandb reads in an offline run."""
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--summary", "--json", file]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def has(config: dict, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            return False
        config = config[part]
    return True
