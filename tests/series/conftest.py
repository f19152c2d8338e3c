"""Series whose runs are played by a script, where a test is about the series alone."""

import json
import sys

import pytest

PLAYER = """#!{python}
import argparse, json, os, pathlib, signal, sys, time

parser = argparse.ArgumentParser()
names = ("seed_everything", "group", "runs_dir", "name", "data.folds", "data.fold", "config", "resume", "model.width")
for name in names:
    parser.add_argument("--" + name)
args = parser.parse_args(sys.argv[3:])
names = ("LIGHTSEG_CORES", "LIGHTSEG_PRECISION", "CUDA_VISIBLE_DEVICES", "MASTER_PORT")
variables = {{name: os.environ[name] for name in names if name in os.environ}}
if args.resume:
    pathlib.Path(args.resume, "metrics.json").write_text('{{"resumed": 1}}')
    sys.exit(0)
if os.environ.get("REFUSES") in (args.seed_everything, "all"):
    print("lightseg: error: model.los: no such option", file=sys.stderr)
    sys.exit(2)
folder = pathlib.Path(args.runs_dir, args.name, os.environ["LIGHTSEG_RUN_NAME"])
folder.mkdir(parents=True)
(folder / "config.yaml").write_text(f"group: {{args.group}}\\ntrainer: {{{{precision: bf16-mixed}}}}\\n")
(folder / "command.txt").write_text(" ".join(["python", *sys.argv[1:]]))
(folder / "variables.json").write_text(json.dumps(variables))
(folder / "times.txt").write_text(f"{{time.time()}}\\n")
(folder / "git.json").write_text("{{}}")
print("epoch 1/2  step 3", flush=True)
# 0 and 1 wait for each other, and so do 2 and 3
other = folder.with_name(folder.name[:-1] + str(int(folder.name[-1]) ^ 1)) / "times.txt"
until = time.monotonic() + 600 * ("MEETS" in os.environ)
while time.monotonic() < until and not other.exists():
    time.sleep(0.01)
if os.environ.get("WAITS") in (args.seed_everything, "all"):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    (folder / "ready").touch()
    time.sleep(3000)
if args.seed_everything == os.environ.get("FAILS"):
    print("lightseg: error: the loss is not finite\\nGo on with: …", file=sys.stderr)
    sys.exit(int(os.environ["CODE"]))
(folder / "times.txt").write_text((folder / "times.txt").read_text() + f"{{time.time()}}\\n")
(folder / "metrics.json").write_text('{{"val/score": 0.5}}')
"""


@pytest.fixture
def player(tmp_path):
    """A script in place of Python, which plays `fit`."""
    path = tmp_path / "player"
    path.write_text(PLAYER.format(python=sys.executable))
    path.chmod(0o755)
    return path


@pytest.fixture
def played(player, tmp_path, monkeypatch):
    """Let the script play the runs; returns the options of the command."""
    monkeypatch.setattr(sys, "executable", str(player))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name in ("OMP_NUM_THREADS", "LIGHTSEG_PRECISION"):
        monkeypatch.delenv(name, raising=False)
    return ["--runs_dir", str(tmp_path / "runs"), "--name", "played"]


@pytest.fixture
def compared(monkeypatch):
    """What is handed to the comparison, which is not made."""
    from lightseg import compare

    handed = []
    monkeypatch.setattr(compare, "main", lambda args: handed.append(args) or 0)
    return handed


@pytest.fixture
def runs(tmp_path):
    """Read the folders of the runs, in the order of the plan, and the folder of their series."""

    def read():
        folders = sorted(file.parent for file in (tmp_path / "runs").glob("*/*/command.txt"))
        return folders, *(tmp_path / "runs").glob("*/series-*")

    return read


@pytest.fixture
def commands(runs):
    """Read the command of each run."""
    return lambda: [
        (folder / "command.txt").read_text().removeprefix("python -m lightseg.fit ") for folder in runs()[0]
    ]


@pytest.fixture
def variables(runs):
    """Read the environment variables of each run."""
    return lambda: [json.loads((folder / "variables.json").read_text()) for folder in runs()[0]]
