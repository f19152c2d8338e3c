"""Trainer of a recipe: callbacks and strategies that are refused, and what is changed of Lightning's."""

import lightning as L
import pytest
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy

from lightseg.cli.lightning_cli import LightsegCLI
from lightseg.training.trainer import make_trainer
from tests.conftest import ROOT
from tests.helpers.refusal import assert_refused

SLURM = {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "job", "SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        ("GradientAccumulationScheduler, init_args: {scheduling: {0: 2}}", "trainer.accumulate_grad_batches says"),
        ("StochasticWeightAveraging, init_args: {swa_lrs: 0.1}", "take lightseg.callbacks.EMA"),
        ("BackboneFinetuning", "take model.freeze_encoder"),
        ("ModelCheckpoint, init_args: {save_last: true}", "leave save_last out"),
    ],
)
def test_callback__that_would_break_a_promise_is_refused(fit, recipe, tmp_path, callback, message):
    outcome = fit("--config", recipe(), "--trainer.callbacks", f"[{{class_path: {callback}}}]")
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


@pytest.mark.parametrize("callback", ["EMA", "Lookahead"])
def test_callback__that_averages_refuses_a_shared_net(fit, recipe, callback):
    options = ["--config", ROOT / "configs/hardware/fsdp.yaml", "--trainer.devices", "1"]
    outcome = fit("--config", recipe(), *options, "--trainer.callbacks", f"[{{class_path: {callback}}}]")
    assert outcome.code == 2
    assert f"{callback} cannot average a net that is shared between devices: take strategy ddp" in outcome.err


def test_callback__a_checkpoint_of_the_same_score_goes_beside_our_own(fit, recipe):
    callbacks = "[{class_path: ModelCheckpoint, init_args: {monitor: val/score, mode: max, save_top_k: 2}}]"
    outcome = fit("--config", recipe(), "--trainer.callbacks", callbacks)
    assert outcome.code == 0
    assert len(list(outcome.folder.glob("checkpoints/epoch=*.ckpt"))) == 2


def _trainer(recipe, tmp_path, *options):
    cli = LightsegCLI(["--config", str(recipe()), "--runs_dir", str(tmp_path / "runs"), *options])
    first, last = L.Callback(), L.Callback()
    trainer = make_trainer(cli, [first], [last], [])
    return trainer, [callback for callback in trainer.callbacks if callback in (first, last)], (first, last)


def test_logger__named_twice_would_get_each_number_twice(fit, recipe, tmp_path):
    outcome = fit("--config", recipe(), "--trainer.logger", "[TensorBoard, MLflow, TensorBoard]")
    assert_refused(outcome, "trainer.logger: TensorBoard is named twice; leave one of them out")
    assert not (tmp_path / "runs").exists()


def test_strategy__of_forked_children_is_refused(fit, recipe):
    outcome = fit("--config", recipe(), "--trainer.strategy", "ddp_fork")
    assert outcome.code == 2
    assert "trainer.strategy: ddp_fork trains in spawned or forked children" in outcome.err


def test_strategy__ddp_by_its_name_or_by_default_copies_no_gradients(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", [str(recipe())])
    wrapped = []
    monkeypatch.setattr(
        "lightning.pytorch.strategies.ddp.DistributedDataParallel", lambda **options: wrapped.append(options)
    )
    for strategy in ("auto", "ddp"):
        trainer, _, _ = _trainer(recipe, tmp_path, "--trainer.devices", "2", "--trainer.strategy", strategy)
        assert type(trainer.strategy) is DDPStrategy
        trainer.strategy._setup_model(None)
    assert [options["gradient_as_bucket_view"] for options in wrapped] == [True, True]


@pytest.mark.parametrize("plugins", [None, "[lightning.pytorch.plugins.environments.SLURMEnvironment]"])
def test_slurm__jobs_are_requeued_by_lightseg_alone(recipe, tmp_path, monkeypatch, plugins):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    clusters = []
    original = SLURMEnvironment.__init__

    def noted(self, *args, **kwargs):
        original(self, *args, **kwargs)
        clusters.append(self)

    monkeypatch.setattr(SLURMEnvironment, "__init__", noted)
    _trainer(recipe, tmp_path, *(["--trainer.plugins", plugins] if plugins else []))
    assert [cluster.auto_requeue for cluster in clusters] == [False]


def test_callbacks__those_of_the_run_are_around_those_of_the_recipe(recipe, tmp_path):
    trainer, own, expected = _trainer(recipe, tmp_path, "--trainer.callbacks", "[{class_path: EMA}]")
    assert own == list(expected)
    assert [type(callback).__name__ for callback in trainer.callbacks[:3]] == ["Callback", "EMA", "Callback"]
