"""`python -m lightseg.launch`."""

import pytest

from lightseg.launch.__main__ import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ray", "--", "--config", "RECIPE"], "ray: is not installed; pip install 'lightseg[ray]'"),
        (["ray", "--gpus", "-1", "--", "--config", "RECIPE"], "--gpus: -1; give a number from 0 on"),
        (["ray", "--max-failures", "-1", "--", "--config", "RECIPE"], "--max-failures: -1; give a number from 0 on"),
        (["slurm", "--max-failures", "0", "--", "--config", "RECIPE"], "--max-failures: is for ray, not for slurm"),
        (["ray", "--storage-path", "s3://a", "--", "--config", "RECIPE"], "--storage-path s3://a: give a folder, not"),
        (
            ["ray", "--storage-path", "a", "--", "--config", "RECIPE", "--runs_dir", "b"],
            "--storage-path sets it",
        ),
        (["slrum", "--", "--config", "RECIPE"], "did you mean slurm?"),
        (["slurm"], "the arguments of fit are missing; give them behind --"),
        (["slurm", "--gpus", "0", "--", "--config", "RECIPE"], "--gpus: 0; give a number from 1 on"),
        (["slurm", "--image", "a", "--", "--config", "RECIPE"], "--image: is for kubeflow, not for slurm"),
        (["kubeflow", "--", "--config", "RECIPE"], "--image: is missing"),
        (["skypilot", "--", "--config", "RECIPE"], "--gpu-type: is missing"),
        (["slurm", "--sbatch", "a b", "--", "--config", "RECIPE"], "--sbatch a b: give KEY=VALUE"),
        (["slurm", "--sbatch", "gpus-per-node=4", "--", "--config", "RECIPE"], "--sbatch gpus-per-node: follows from"),
        (["slurm", "--sbatch=--", "--", "--config", "RECIPE"], "--sbatch=--: -- is no value"),
        (["slurm", "--time", "1\n2", "--", "--config", "RECIPE"], "--time: '1\\n2' has a character"),
        (["slurm", "--name", "a/b", "--", "--config", "RECIPE"], "--name 'a/b': is no name of a folder"),
        (["slurm", "--", "--config", "RECIPE", "--sedes", "1,2"], "no option 'sedes'"),
        (["slurm", "--", "--config", "RECIPE", "--trainer.devices", "2"], "--trainer.devices: --gpus sets it"),
        (["slurm", "--", "--config", "RECIPE", "--find", "wd"], "--find: no setting 'wd'"),
        (["slurm", "--", "--config", "missing.yaml"], "missing.yaml"),
        (["slurm", "--", "RECIPE"], "belongs to no option of fit"),
        (["slurm", "--", "--config", "RECIPE", "--data.root=caf\udce9"], "or bytes that are not UTF-8"),
    ],
)
def test_launch__bad_input_is_one_line(words, message, call, recipe):
    code, out, err = call(main, *(str(recipe()) if word == "RECIPE" else word for word in words))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
