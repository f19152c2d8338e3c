"""Imports before a command answers, and versions and options without torch."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from lightseg import __version__
from lightseg.__main__ import SYNONYMS, VERBS
from lightseg.cli.argv import FIT_OPTIONS
from lightseg.cli.lightning_cli import LightsegCLI
from tests.comparison.fabricate import config, write_run
from tests.conftest import ROOT
from tests.diagnosis.fabricate import CLASSES, sound

RECIPE = "experiments/shapes/unet.yaml"

CALL = """
import contextlib, io, json, sys
from lightseg.__main__ import main

answers = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["lightseg", *words]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main()
    imported = sorted({"torch", "lightning", "matplotlib"} & set(sys.modules))
    answers.append([code, out.getvalue(), err.getvalue(), imported])
print(json.dumps(answers))
"""

NOWHERE = "no such f"
BAD = {
    "init nowhere": "nowhere: there is no such folder",
    "init photo.png": "photo.png: is a file; give a folder",
    "init run --foo": "--foo",
    "init run --out a.ckpt": "a.ckpt: exists, and is not overwritten",
    "init run --data.masks": "--data.masks: has no value",
    "compare nowhere": NOWHERE,
    "compare --by run nowhere": NOWHERE,
    "predict nowhere photo.png --out o": NOWHERE,
    "predict --out o --device cpu nowhere photo.png": NOWHERE,
    "predict nowhere/best.ckpt photo.png --out o": NOWHERE,
    "predict hf://nobody photo.png --out o": "no address on the Hub",
    "predict a.ckpt missing.png --out o": "missing.png: there is no such file",
    "predict --out o --window 9 a.ckpt missing.png": "missing.png: there is no such file",
    "predict a.ckpt photo.png --out o --tta flip --foo": "--foo",
    "evaluate nowhere": NOWHERE,
    "evaluate --split val nowhere": NOWHERE,
    "evaluate a.ckpt --config missing.yaml": "--config missing.yaml: no such file",
    "evaluate a.ckpt --foo": "--foo",
    "explain nowhere": NOWHERE,
    "explain --images 3 nowhere": NOWHERE,
    "explain run": "no checkpoint found",
    "explain --foo run": "--foo",
    "export nowhere": NOWHERE,
    "export --int8 nowhere": NOWHERE,
    "export run": "no checkpoint found",
    "export run --foo": "--foo",
    "diff nowhere nowhere": NOWHERE,
    "diff run nowhere": NOWHERE,
    "sync nowhere": "no run folder",
    "sync --project p nowhere": "no run folder",
    "dashboard p --from nowhere": NOWHERE,
    "dashboard --from nowhere p": NOWHERE,
    "dashboard p --foo": "--foo",
    "list encodrs": "did you mean encoders?",
    "list heads upernt": "did you mean upernet?",
    "list losses --foo": "--foo",
    "fit --config missing.yaml": "--config missing.yaml: no such file",
    "fit --config=missing.yaml": "--config missing.yaml: no such file",
    "fit --model.net UNet -c missing.yaml": "--config missing.yaml: no such file",
    f"fit --config {RECIPE} --config missing.yaml": "--config missing.yaml: no such file",
    f"fit --seeds 0,1 --config {RECIPE} --config missing.yaml": "--config missing.yaml: no such file",
    "fit --resume nowhere": NOWHERE,
    f"fit --config {RECIPE} --resume nowhere": NOWHERE,
    "fit --foo": "no option 'foo'",
    f"fit --config {RECIPE} --modle.net.width 3": "no option 'modle'; did you mean model?",
    f"fit --save_every_minuets 3 --config {RECIPE}": "did you mean save_every_minutes?",
    f"fit {RECIPE}": f"give a recipe as --config {RECIPE}",
    "doctor missing.yaml": "missing.yaml: no such file",
    "doctor --data.root data missing.yaml": "missing.yaml: no such file",
    "doctor --estimate --out o missing.yaml": "missing.yaml: no such file",
    f"doctor {RECIPE} --foo 1": "no option 'foo'",
    "train": "did you mean fit?",
    "Test": "did you mean evaluate?",
    "inference": "did you mean predict?",
    "check": "did you mean doctor?",
    "fitt": "did you mean fit?",
    "--foo": "there are init, doctor, fit",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What a process that is asked one thing after another says, and what it has imported by then."""
    place = tmp_path_factory.mktemp("place")
    (place / "run").mkdir()
    for file in ("run/config.yaml", "a.ckpt", "photo.png"):
        (place / file).touch()
    versions = ["--version", *(f"{verb} --version" for verb in VERBS)]
    commands = [*BAD, *versions]
    command = [sys.executable, "-c", CALL, json.dumps([line.split() for line in commands])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment, check=True)
    return dict(zip(commands, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("line", BAD)
def test_bad_input__is_told_in_a_line_before_torch_is_imported(answers, line):
    code, out, err, imported = answers[line]
    assert (code, out, imported) == (2, "", [])
    assert BAD[line] in err
    # the files beside a missing recipe are in a second one
    assert len(err.partition("\navailable in")[0].splitlines()) == 1


@pytest.mark.parametrize("line", ["--version", *(f"{verb} --version" for verb in VERBS)])
def test_version__of_every_verb(answers, line):
    assert answers[line] == [0, f"lightseg {__version__}\n", "", []]


@pytest.mark.parametrize("module", ["lightseg", "lightseg.fit"])
def test_version__of_a_module(module):
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"lightseg {__version__}\n", "")


def test_synonyms__each_means_one_verb():
    words = [word for words in SYNONYMS.values() for word in words]
    assert len(words) == len(set(words) - VERBS.keys())
    assert SYNONYMS.keys() <= VERBS.keys()


def test_fit_options__are_those_of_the_parser(recipe):
    cli = LightsegCLI(["--config", str(recipe())])
    parser_options = {action.dest.partition(".")[0] for action in cli.parser._actions}
    # of several runs, which have a parser of their own
    assert parser_options - {"help", "print_shtab"} == {*FIT_OPTIONS} - {"seeds", "folds", "grid", "jobs", "find"}


@pytest.mark.parametrize(
    ("options", "environment", "line"),
    [
        ([], {}, f"lightseg {__version__}: {RECIPE} (importing torch …)\n"),
        (
            ["--config", "configs/net/fcn.yaml"],
            {"RANK": "0"},
            f": {RECIPE} + configs/net/fcn.yaml (importing torch …)\n",
        ),
        ([], {"LOCAL_RANK": "1"}, ""),
        ([], {"SLURM_PROCID": "3"}, ""),
        (["--print_config"], {}, ""),
        (["--model.help", "SegmentationTask"], {}, ""),
        (["--help_all"], {}, ""),
    ],
)
def test_fit__says_what_it_begins_with_before_torch_is_imported(options, environment, line):
    command = ["--config", RECIPE, *options]
    code = f"import sys; sys.modules['torch'] = None; from lightseg.fit import main; main({command})"
    ranks = {"RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"}
    environment = {name: value for name, value in os.environ.items() if name not in ranks} | environment
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert "import of torch halted" in done.stderr
    assert done.stdout.endswith(line)
    assert len(done.stdout.splitlines()) == bool(line)


def test_compare_and_diff__of_runs_need_no_torch(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / "roads" / str(seed), config(seed=seed))
    commands = [["compare", "roads", "--json", "all.json"], ["diff", "roads/0", "roads/1"]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CALL, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert [(code, imported) for code, _, _, imported in json.loads(done.stdout)] == [(0, []), (0, [])]


def test_sync_and_predict__find_out_what_to_do_without_torch():
    code = "import sys, lightseg.tracking.wandb_run, lightseg.inference.inputs; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
def test_fit__needs_nothing_that_its_recipe_does_not_use(tmp_path):
    """PNG files and a plain U-Net: a machine without these packages trains on them, and with them waits for none."""
    unused = ("wandb", "timm", "segmentation_models_pytorch", "captum", "onnx", "onnxruntime", "imagecodecs", "sklearn")
    root = sound(tmp_path / "data", {"train": 4, "val": 2}, side=64)
    recipe = tmp_path / "small.yaml"
    recipe.write_text("base: [configs/data/mask_folder.yaml, configs/net/unet.yaml]\ntrainer: {accelerator: cpu}\n")
    arguments = [
        *(
            "--config",
            str(recipe),
            "--data.root",
            str(root),
            "--data.classes",
            CLASSES,
            "--data.train_transforms",
            "[]",
        ),
        *("--data.batch_size", "2", "--data.num_workers", "0", "--model.net.width", "4", "--model.net.depth", "2"),
        *("--trainer.max_epochs", "1", "--runs_dir", str(tmp_path / "runs")),
    ]
    code = f"import sys; sys.modules |= dict.fromkeys({unused}); from lightseg.fit import main; "
    code += f"sys.exit(main({arguments}))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs" / "small").iterdir()
    assert np.isfinite(json.loads((folder / "metrics.json").read_text())["val/loss"])


def test_help__imports_nothing_heavy():
    code = "import sys, lightseg.fit as f; f.main(['--help']); "
    code += "assert not {'torch', 'lightning', 'numpy', 'matplotlib', 'PIL'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "--model.net.encoder" in done.stdout
