"""Scripts for sbatch, run here by programs of its name."""

import json
import shlex
import subprocess

import pytest
import yaml

from lightseg.launch.__main__ import main
from tests.conftest import ROOT
from tests.helpers.launched import ODD, PRINT_WORDS, fit_arguments, words_of


def test_slurm__arguments_are_exact(render, program, recipe, tmp_path, monkeypatch):
    folder = tmp_path / "a b's"
    folder.mkdir()
    monkeypatch.chdir(folder)
    program("srun", '#!/bin/sh\npwd > "$PLACE"\n' + PRINT_WORDS.partition("\n")[2])
    monkeypatch.setenv("PLACE", str(tmp_path / "place"))
    options = ["--nodes", 2, "--gpus", 8, "--partition", "a100", "--time", "4:00:00", "--cpus", 4]
    script = render(
        "slurm", *options, "--setup", "true # load", "--sbatch", "account=my lab", "--dry-run", arguments=ODD
    )
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    directives = [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]
    assert {shlex.split(line)[0] for line in directives} == {
        *("--job-name=tiny", "--nodes=2", "--ntasks-per-node=8", "--gpus-per-node=8", "--cpus-per-task=4"),
        *("--partition=a100", "--time=4:00:00", "--signal=USR1@120", "--requeue", "--open-mode=append"),
        *("--output=%x-%j.out", "--account=my lab"),
    }
    words = words_of(script)
    size = ["--trainer.num_nodes=2", "--trainer.devices=8"]
    assert fit_arguments(words) == ["--config", str(recipe()), *ODD, *size]
    assert words[0] == "--kill-on-bad-exit=1"
    assert (tmp_path / "place").read_text() == f"{folder}\n"


def test_slurm__series_is_an_array_of_its_runs(render, program, monkeypatch):
    program("srun", PRINT_WORDS)
    series = ["--seeds", "3,5", "--folds", "2", "--grid", 'model.loss=a b,"c\'d"', "--jobs", "4"]
    script = render("slurm", "--dry-run", arguments=[*series, "--model.net.width", "4"])
    assert "#SBATCH --array=0-7%4\n" in script
    assert "#SBATCH --output=%x-%A_%a.out\n" in script
    runs = []
    for index in range(8):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(index))
        arguments = fit_arguments(words_of(script))
        assert arguments[2:6] == ["--model.net.width", "4", "--trainer.num_nodes=1", "--trainer.devices=1"]
        runs.append(tuple(arguments[6:]))
    (group,) = {run[0] for run in runs}
    assert group.startswith("--group=tiny-2")
    losses = ("--model.loss=a b", '--model.loss="c\'d"')
    expected = [
        (f"--seed_everything={seed}", loss, "--data.folds=2", f"--data.fold={fold}")
        for seed in (3, 5)
        for loss in losses
        for fold in (0, 1)
    ]
    assert [run[1:] for run in runs] == expected


def test_slurm__the_size_of_a_job_has_options(call, recipe):
    code, _, err = call(main, "slurm", "--sbatch", "nodes=2", "--dry-run", "--", "--config", recipe())
    assert (code, err.count("\n")) == (2, 1)
    assert "--sbatch nodes: follows from --nodes, --gpus and the series; leave it out" in err


def test_slurm__gives_the_script_to_sbatch(call, recipe, program, tmp_path, monkeypatch):
    program("sbatch", "#!/bin/sh\ncat > $PLACE\necho Submitted batch job 7\n")
    monkeypatch.setenv("PLACE", str(tmp_path / "script"))
    assert call(main, "slurm", "--", "--config", recipe())[:2] == (0, "Submitted batch job 7\n")
    assert (tmp_path / "script").read_text() == call(main, "slurm", "--dry-run", "--", "--config", recipe())[1]
    program("sbatch", "#!/bin/sh\nprintf 'Submitted \\033[2J\\n'\n")
    assert call(main, "slurm", "--", "--config", recipe())[1] == "Submitted \\x1b[2J\n"
    program("sbatch", "#!/bin/sh\necho error: no partition >&2\nexit 1\n")
    code, _, err = call(main, "slurm", "--", "--config", recipe())
    assert (code, err) == (1, "lightseg: error: sbatch: refuses the job: error: no partition\n")
    monkeypatch.setenv("PATH", "")
    code, _, err = call(main, "slurm", "--", "--config", recipe())
    assert code == 1
    assert "sbatch: No such file or directory; launch from a login node" in err


SBATCH = """#!/bin/bash
cat > "$PLACE/script"
export SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_JOB_NODELIST=localhost SLURM_NNODES=1
export SLURM_NTASKS_PER_NODE=1
for SLURM_ARRAY_TASK_ID in 0 1; do
    export SLURM_ARRAY_TASK_ID SLURM_JOB_ID=$((70 + SLURM_ARRAY_TASK_ID))
    bash "$PLACE/script" > "$PLACE/output$SLURM_ARRAY_TASK_ID" 2>&1 || exit 1
done
"""

SRUN = """#!/bin/bash
exec "${@:2}"
"""


@pytest.mark.slow
def test_slurm__array_trains_the_runs_of_a_series(call, recipe, program, tmp_path, monkeypatch):
    program("sbatch", SBATCH)
    program("srun", SRUN)
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    arguments = ["--config", recipe(), "--seeds", "0,1", "--group", "my group", "--runs_dir", tmp_path / "runs"]
    code, _, err = call(main, "slurm", "--", *arguments)
    assert code == 0, err + (tmp_path / "output0").read_text()
    folders = sorted(tmp_path.glob("runs/tiny/*"))
    configs = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in folders]
    assert [config["seed_everything"] for config in configs] == [0, 1]
    assert {config["group"] for config in configs} == {"my group"}
    assert [json.loads((folder / "env.json").read_text())["job"] for folder in folders] == ["slurm-70", "slurm-71"]
    assert all((folder / "metrics.json").is_file() for folder in folders)
