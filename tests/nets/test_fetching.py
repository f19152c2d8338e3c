"""Weights by name, with a cache and without a connection."""

import json
import socket
import threading
import time

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from lightseg.errors import ConfigError
from lightseg.nets import FCN, Segmenter, SmpNet, TimmNet, TorchvisionNet
from lightseg.nets.weights import IMAGENET, INCEPTION
from tests.nets.comparison import left_random


def record_waits(monkeypatch):
    """Replace the waits of this thread by a list of their seconds; threads of earlier tests wait as before."""
    waits, sleep, thread = [], time.sleep, threading.get_ident()
    monkeypatch.setattr(time, "sleep", lambda s: waits.append(s) if threading.get_ident() == thread else sleep(s))
    return waits


@pytest.mark.parametrize(
    ("build", "weights", "save"),
    [
        (lambda: TimmNet(5, encoder_weights="imagenet"), "resnet18.a1_in1k of timm", "timm.create_model"),
        (lambda: TimmNet(5, encoder_weights="tv_in1k"), "resnet18.tv_in1k of timm", "timm.create_model"),
        (lambda: FCN(5, encoder="resnet18", encoder_weights="imagenet"), "resnet18.a1_in1k of timm", "timm"),
        (lambda: SmpNet(5, encoder_weights="imagenet"), "imagenet of SMP's resnet34", "get_encoder"),
        (lambda: SmpNet(5, encoder="tu-resnet18", encoder_weights="imagenet"), "resnet18.a1_in1k of timm", "timm"),
        (lambda: TorchvisionNet(5, encoder_weights="imagenet"), "DEFAULT of torchvision's alexnet", "get_model"),
    ],
)
def test_without_a_connection_the_error_comes_at_once_with_instructions(build, weights, save, monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    waits = record_waits(monkeypatch)
    with pytest.raises(ConfigError) as caught:
        build()
    assert sum(waits) < 5
    first, second = str(caught.value).splitlines()
    assert f"cannot fetch the weights {weights}" in first
    assert save in second
    assert "--model.net.encoder_weights encoder.safetensors" in second


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Libraries with empty caches and no connection."""

    def refuse(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def hub(repo, revision, state, config):
        folder = tmp_path / f"models--{repo.replace('/', '--')}"
        snapshot = folder / "snapshots" / revision
        snapshot.mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(revision)
        (snapshot / "config.json").write_text(json.dumps(config))
        save_file(state, snapshot / "model.safetensors")

    hub.folder = tmp_path
    return hub


@pytest.mark.parametrize("net", [TimmNet, FCN, Segmenter])
def test_timms_weights_come_from_the_cache_without_a_connection(net, cache, monkeypatch):
    state = timm.create_model("resnet18").state_dict()
    cache("timm/resnet18.tv_in1k", "a" * 40, state, {})
    waits = record_waits(monkeypatch)
    built = net(5, encoder="resnet18", encoder_weights="tv_in1k")
    assert sum(waits) < 5
    assert torch.equal(built.encoder.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
    assert built.normalization == IMAGENET


def test_smps_weights_come_from_the_cache_without_a_connection(cache):
    import segmentation_models_pytorch as smp

    where = smp.encoders.encoders["resnet18"]["pretrained_settings"]["imagenet"]
    state = smp.encoders.get_encoder("resnet18", weights=None).state_dict()
    cache(where["repo_id"], where["revision"], state, {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]})
    built = SmpNet(5, in_channels=4, encoder="resnet18", encoder_weights="imagenet")
    assert torch.equal(built.encoder.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
    assert built.normalization == ((0.1, 0.2, 0.3, 0.1), (1.0, 1.0, 1.0, 1.0))


@pytest.mark.parametrize(("encoder", "expected"), [("googlenet", INCEPTION), ("mobilenet_v3_small", IMAGENET)])
def test_torchvisions_weights_come_from_the_cache_without_a_connection(encoder, expected, cache):
    more = {"init_weights": False} if encoder == "googlenet" else {}
    state = torchvision.models.get_model(encoder, weights=None, **more).state_dict()
    file = torchvision.models.get_model_weights(encoder)["DEFAULT"].url.rpartition("/")[2]
    (cache.folder / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(state, cache.folder / "hub" / "checkpoints" / file)
    built = TorchvisionNet(5, encoder=encoder, encoder_weights="imagenet")
    assert left_random(built.encoder, state) == []
    assert built.train()(torch.rand(2, 3, 64, 64)).shape == (2, 5)
    assert built.normalization == expected
