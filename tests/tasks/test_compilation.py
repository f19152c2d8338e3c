"""How a net is compiled, and where its kernels are."""

import os

import pytest
import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.files.disk_cache import cache_dir
from lightseg.hardware.cpu import instruction_set
from lightseg.tasks.compilation import check_graphs, compile_net


def kernels():
    return cache_dir() / "inductor" / f"{torch.backends.cpu.get_cpu_capability()}-{instruction_set()}"


class Recorded(nn.Linear):
    """A net that only notes how it would be compiled."""

    def compile(self, *args, **kwargs):
        self.asked = kwargs


@pytest.fixture(autouse=True)
def _no_kernels(monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")


@pytest.mark.parametrize(("mode", "meant"), [(True, "default"), ("reduce-overhead", "reduce-overhead")])
def test_compile_net__in_a_mode_with_kernels_in_the_cache_folder(mode, meant):
    net = Recorded(2, 2)
    compile_net(net, mode)
    assert net.asked == {"mode": meant}
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(kernels())


def test_compile_net__leaves_a_users_folder_and_an_uncompiled_net_alone(monkeypatch, tmp_path):
    net = Recorded(2, 2)
    compile_net(net, False)
    assert not hasattr(net, "asked")
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    compile_net(net, True)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path)


def test_compile_net__a_cache_folder_that_cannot_be_made_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIGHTSEG_CACHE", str(tmp_path / "file"))
    compile_net(Recorded(2, 2), True)
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ


def test_compile_net__a_cache_folder_of_another_user_is_no_error(monkeypatch):
    compile_net(Recorded(2, 2), True)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    compile_net(Recorded(2, 2), True)
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ


@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune"])
def test_check_graphs__refuses_to_accumulate_gradients(mode):
    check_graphs(mode, 1)
    check_graphs("default", 4)
    check_graphs(True, 4)
    with pytest.raises(ConfigError, match=f"model.compile: {mode} records CUDA graphs.*accumulate_grad_batches: 1"):
        check_graphs(mode, 2)


def test_fit__an_unknown_mode_is_told_with_those_there_are(fit, recipe):
    outcome = fit("--config", recipe(), "--model.compile", "fast")
    assert outcome.code == 2
    assert "model.compile: fast is not true or false or one of 'default', 'reduce-overhead'" in outcome.err


@pytest.mark.slow
def test_fit__by_a_mode_finds_its_kernels_at_the_next_start(fit, recipe):
    options = ["--config", recipe(), "--trainer.max_epochs", "1", "--model.net.depth", "1"]
    options += ["--model.compile", "reduce-overhead"]
    # what another test has compiled is not looked up
    torch._dynamo.reset()
    first = fit(*options)
    assert first.code == 0, first.err
    counters = torch._dynamo.utils.counters["inductor"]
    miss_count = counters["fxgraph_cache_miss"]
    assert miss_count
    assert list((kernels() / "fxgraph").iterdir())
    torch._dynamo.reset()
    again = fit(*options)
    # what is compiled is the same as at the first start, and all of it is there
    assert counters["fxgraph_cache_miss"] == miss_count
    assert again.metrics["val/score"] == first.metrics["val/score"]
