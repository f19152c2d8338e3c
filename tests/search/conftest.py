"""Searches whose trials are played by a script that copies a finished run."""

import sys

import pytest
import yaml

from tests.helpers.train import train

TINY = """
base: [configs/data/shapes.yaml, configs/net/unet.yaml]
model:
  init_args:
    net: {init_args: {width: 4, depth: 1}}
data:
  init_args: {image_size: 16, train_size: 4, val_size: 3, test_size: 3, batch_size: 4, num_workers: 0}
trainer: {accelerator: cpu, max_epochs: 1, log_every_n_steps: 1}
"""

STUDY = """
space:
  model.optimizer.lr: {low: 1e-4, high: 1e-2, log: true}
  model.net.width: [4, 8]
trials: 4
sampler: random
winner_seeds: 2
"""

PLAYER = """#!{python}
import json, os, pathlib, re, shutil, sys, time

if "lightseg.search.check" in sys.argv:
    sys.exit(0)
text = " ".join(sys.argv)
if "--resume" in sys.argv:
    folder = pathlib.Path(sys.argv[sys.argv.index("--resume") + 1])
    text = (folder / "command.txt").read_text()
else:
    folder = pathlib.Path({runs!r}, "tiny", os.environ["LIGHTSEG_RUN_NAME"])
seed = re.search("seed_everything=([0-9]+)", text)
lr, width = re.search("lr=([^ ]+)", text)[1], re.search("width=([0-9]+)", text)[1]
refused = os.environ.get("REFUSES")
if refused == "all" or refused == width:
    print("lightseg: error:", os.environ.get("MESSAGE", "the width is refused"), file=sys.stderr)
    sys.exit(int(os.environ["CODE"]))
if not folder.exists():
    shutil.copytree({template!r}, folder, ignore=lambda *_: ["metrics.json", "checkpoints", "images"])
    (folder / "command.txt").write_text(text)
if not seed and folder.name.endswith(os.environ.get("WAITS", "none")):
    rows = [dict(step=step, **{{"val/score": 0.0}}) for step in range(3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
    (folder / "waits").touch()
    time.sleep(3000)
config = (folder / "config.yaml").read_text()
config = re.sub("seed_everything: .*", "seed_everything: " + (seed[1] if seed else "0"), config)
(folder / "config.yaml").write_text(config)
metrics = json.loads(pathlib.Path({template!r}, "metrics.json").read_text())
metrics |= {{"val/score": float(lr), "train/seconds": time.time()}}
(folder / "model.json").write_text(json.dumps(dict(parameters=100, gflops=int(width), input=[3, 16, 16])))
if "LIGHTSEG_LATENCY" in os.environ:
    (folder / "latency.json").write_text(json.dumps(dict(latency_ms=int(width) / 2)))
rows = [dict(step=step, **{{"val/score": float(lr)}}) for step in range(3)]
(folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
(folder / "metrics.json").write_text(json.dumps(metrics))
"""


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A finished run."""
    return train(tmp_path_factory.mktemp("template"), TINY)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write recipe and settings; returns the command line of the search."""
    monkeypatch.chdir(tmp_path)

    def write(study=STUDY, recipe=TINY, **changes):
        (tmp_path / "tiny.yaml").write_text(recipe)
        (tmp_path / "study.yaml").write_text(yaml.safe_dump({**yaml.safe_load(study), **changes}))
        return ["tiny.yaml", "--study", "study.yaml"]

    return write


@pytest.fixture
def played(template, files, tmp_path, monkeypatch):
    """Let the script play the trials."""
    path = tmp_path / "player"
    path.write_text(PLAYER.format(python=sys.executable, template=str(template), runs=str(tmp_path / "runs")))
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return files


@pytest.fixture
def folder(tmp_path):
    """Read the folder of the search."""
    return lambda: next(iter((tmp_path / "runs/tiny").glob("search-*")))
