import pickle
import socket

import pytest
import torch

import lightseg
from lightseg.errors import UserError


@pytest.fixture
def folder(fit, recipe):
    return fit("--config", recipe(), "--trainer.max_epochs", "1").folder


def test_load__needs_no_network_and_nothing_but_the_file(folder, tmp_path, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    alone = tmp_path / "alone.ckpt"
    (folder / "checkpoints/best.ckpt").rename(alone)
    task = lightseg.load(alone)
    assert not task.training
    assert task.classes == ["background", "circle", "square", "triangle", "star", "ring"]
    assert task(torch.zeros(1, 3, 37, 61, dtype=torch.uint8)).shape == (1, 6, 37, 61)


def test_load__run_folder_means_its_best_checkpoint(folder):
    image = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    by_folder, by_file = lightseg.load(folder), lightseg.load(folder / "checkpoints/best.ckpt")
    assert torch.equal(by_folder(image), by_file(image))


def test_load__weights_by_name_are_not_fetched_again(fit, recipe, tmp_path, monkeypatch):
    import timm
    from safetensors.torch import save_file

    weights = tmp_path / "weights.safetensors"
    save_file(timm.create_model("resnet10t", num_classes=10).state_dict(), weights)
    outcome = fit(
        *("--config", recipe(), "--model.net", "FCN", "--model.net.encoder", "resnet10t"),
        *("--model.net.encoder_weights", weights, "--trainer.max_epochs", "1"),
    )
    weights.unlink()
    task = lightseg.load(outcome.folder)
    assert type(task.net).__name__ == "FCN"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no checkpoint at all", "damaged or not a checkpoint"),
        (None, "no checkpoint found"),
    ],
)
def test_load__not_a_checkpoint(tmp_path, content, message):
    path = tmp_path / "x.ckpt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        lightseg.load(path)


@pytest.mark.parametrize("name", ["model.onnx", "model.pt2"])
def test_load__what_is_for_another_runtime(tmp_path, name):
    (tmp_path / name).write_bytes(b"a graph")
    with pytest.raises(UserError, match="is for onnxruntime or torch.export; lightseg loads"):
        lightseg.load(tmp_path / name)


def test_load__truncated(folder):
    path = folder / "checkpoints/best.ckpt"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match="damaged"):
        lightseg.load(path)


def test_load__pickled_code_is_refused_and_does_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "boom"), "w"))

    path = tmp_path / "bomb.ckpt"
    torch.save({"lightseg": Bomb()}, path, pickle_module=pickle)
    with pytest.raises(UserError, match="refused: it holds more than tensors"):
        lightseg.load(path)
    assert not (tmp_path / "boom").exists()


def test_load__foreign_checkpoint(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="carries no recipe"):
        lightseg.load(tmp_path / "other.ckpt")


def test_load__missing_weights_are_never_tolerated(folder):
    path = folder / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"].popitem()
    torch.save(checkpoint, path)
    with pytest.raises(UserError, match="1 weights are missing"):
        lightseg.load(path)


def test_checkpoint__holds_plain_data_only(folder):
    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str | int) and plain(item) for key, item in value.items())
        if isinstance(value, list | tuple):
            return all(map(plain, value))
        return isinstance(value, str | int | float | bool | None)

    assert plain(torch.load(folder / "checkpoints/best.ckpt", weights_only=True)["lightseg"])
