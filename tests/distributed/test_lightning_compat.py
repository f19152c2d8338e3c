"""What is replaced of Lightning and torch does what the original does, and only where a run asks for it."""

import dis
import inspect

import lightning as L
import pytest
import torch
from lightning.pytorch.loops import training_epoch_loop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.strategies.launchers import subprocess_script
from lightning.pytorch.trainer import call
from torch.utils.data import DataLoader

import lightseg.training.run  # noqa: F401 - importing it must leave Lightning alone
from lightseg.distributed import lightning_compat
from lightseg.distributed.lightning_compat import disable_signal_exchange, replaced_internals

HOOKS = [name for name in vars(L.Callback) if name.startswith("on_") or name in ("setup", "teardown")]
# called in other ways than those that are replaced
HOOKS = [name for name in HOOKS if "checkpoint" not in name]


class Net(L.LightningModule):
    """Logs its loss."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.ones_(self.layer.weight)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).square().mean()
        self.log("plain", loss.detach())
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val", self.layer(batch).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def _fit(*callbacks, **options):
    batches = DataLoader(torch.arange(1.0, 13.0).reshape(12, 1), batch_size=2)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=2,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(Net(), batches, batches)


def _recorder(events, *names):
    """A callback that overrides some hooks and notes each call, with the hook that Lightning thinks it is in."""

    def note(name):
        return lambda self, trainer, task, *args, **kwargs: events.append(
            (name, task._current_fx_name, len(args), sorted(kwargs))
        )

    return type("Recorder", (L.Callback,), {name: note(name) for name in names})


def test_hooks__of_a_plain_callback_do_nothing():
    def empty():
        """Nothing."""

    for name in HOOKS:
        hook = getattr(L.Callback, name)
        operations = [[step.opname for step in dis.get_instructions(function)] for function in (hook, empty)]
        assert operations[0] == operations[1], name


def test_calls__are_those_of_lightning():
    def calls():
        events = []
        _fit(_recorder(events, *HOOKS)())
        return events

    plain = calls()
    with replaced_internals():
        assert calls() == plain
    assert {name for name, *_ in plain} >= {"setup", "on_train_batch_end", "on_before_optimizer_step"}


def test_calls__reach_hooks_of_ancestors_and_of_instances():
    events = []
    child = type("Child", (_recorder(events, "on_before_zero_grad"),), {})()
    later = L.Callback()
    later.on_train_batch_start = lambda *args: (
        events.append("first") or setattr(later, "on_train_batch_end", lambda *args: events.append("second"))
    )
    with replaced_internals():
        _fit(child, later, limit_train_batches=1)
    assert events == ["first", ("on_before_zero_grad", "on_before_zero_grad", 1, []), "second"] * 2


def test_replacements__end_with_the_block():
    originals = {
        name: getattr(call, f"_call_{name}") for name in ("callback_hooks", "lightning_module_hook", "strategy_hook")
    }
    assert all(original.__module__ == "lightning.pytorch.trainer.call" for original in originals.values())
    replacements = {}

    def fail():
        with replaced_internals():
            replacements.update({name: getattr(call, f"_call_{name}") for name in originals})
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    for name, original in originals.items():
        assert getattr(call, f"_call_{name}") is original
        assert replacements[name].__module__ == lightning_compat.__name__
        assert list(inspect.signature(original).parameters) == list(inspect.signature(replacements[name]).parameters)


def test_replacements__leave_every_call_to_a_profiler():
    heard = {}
    for where in ("plain", "replaced"):
        profiler = L.pytorch.profilers.SimpleProfiler(filename=None)
        if where == "plain":
            _fit(L.Callback(), profiler=profiler)
        else:
            with replaced_internals():
                _fit(L.Callback(), profiler=profiler)
        heard[where] = {name: len(times) for name, times in profiler.recorded_durations.items()}
    assert heard["plain"] == heard["replaced"]
    assert heard["plain"]["[Callback]Callback.on_train_batch_start"] == 12


def test_replacements__read_a_signature_once():
    with replaced_internals():
        _fit()
        assert training_epoch_loop.is_param_in_hook_signature.cache_info().misses == 1


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator to ask for")
def test_replacements__no_step_looks_for_a_gpu(monkeypatch):
    parameter = torch.nn.Parameter(torch.ones(1))
    parameter.grad = torch.ones(1)
    optimizer = torch.optim.AdamW([parameter])
    calls = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: calls.append(1))
    optimizer.step()
    assert calls, "torch does not ask any more: nothing is left to replace"
    calls.clear()
    with replaced_internals():
        calls.clear()
        optimizer.step()
        assert not calls
    optimizer.step()
    assert calls


def test_replacements__stand_for_what_is_there_and_called():
    launcher = subprocess_script._SubprocessScriptLauncher
    assert "_launch_process_observer(self.procs)" in inspect.getsource(launcher.launch)


def test_disable_signal_exchange__of_this_trainer_alone():
    assert "self._broadcast_sigterm_tensor()" in inspect.getsource(_TrainingEpochLoop.advance)
    first, second = (L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False) for _ in range(2))
    disable_signal_exchange(first)
    assert first.fit_loop.epoch_loop._broadcast_sigterm_tensor() is None
    assert second.fit_loop.epoch_loop._broadcast_sigterm_tensor.__func__ is _TrainingEpochLoop._broadcast_sigterm_tensor
