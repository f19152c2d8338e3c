"""Nets that a checkpoint names with options of which the construction would not end, or fill the memory."""

import pytest
import torch
from torch import nn

import lightseg
from lightseg.checkpoint import validation
from lightseg.checkpoint.validation import require_net_fits
from lightseg.errors import UserError
from tests.inference.models import write_checkpoint

TINY_VIT, SWIN = "tiny_vit_5m_224", "swin_tiny_patch4_window7_224"


def _timm(encoder, **kwargs):
    return {"class_path": "lightseg.nets.TimmNet", "init_args": {"encoder": encoder, "kwargs": kwargs}}


def _segmenter(encoder, **options):
    return {"class_path": "lightseg.nets.Segmenter", "init_args": {"encoder": encoder, **options}}


def _torchvision(encoder, **kwargs):
    return {"class_path": "lightseg.nets.TorchvisionNet", "init_args": {"encoder": encoder, "kwargs": kwargs}}


@pytest.mark.parametrize(
    ("net", "encoder"),
    [("SmpNet", "mit_b0"), ("SmpNet", "resnet18"), ("Segmenter", "test_vit"), ("Segmenter", "test_resnet")],
)
def test_load__nets_of_libraries_need_no_trust(net, encoder, tmp_path):
    file = write_checkpoint(tmp_path / "x.ckpt", net=f"lightseg.nets.{net}", encoder=encoder)
    expected = torch.load(file, weights_only=True)["state_dict"]
    state = lightseg.load(file).state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in state.items())


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (_timm(TINY_VIT, window_sizes=[7, 7, 1000, 7]), "net.kwargs.window_sizes.2: 1000 is more than 256"),
        (_timm(TINY_VIT, window_sizes=[7, 7, 250, 7]), "it needs more memory than the weights in the file"),
        (_timm(SWIN, img_size=65536), "net.kwargs.img_size: 65536 is more than 4096"),
        (_timm(SWIN, img_size=4096, window_size=128), "it needs more memory than the weights in the file"),
        (_timm(SWIN), "does not fit the net of its recipe"),
        ({"class_path": "lightseg.nets.SmpNet", "init_args": {"arch": 5}}, "SmpNet cannot be built with its options"),
        (_segmenter("test_vit", width=65536), "it needs more memory than the weights in the file"),
        (_segmenter("test_vit", width=-1), "must be 1 or more, got -1"),
        (_segmenter("test_vit", head="fpm"), "did you mean fpn"),
        (_segmenter("test_vit", kwargs={"depth": 4096}), "more layers than there are weights in the file"),
        (_segmenter("test_maxvit", kwargs={"img_size": 4096}), "it needs more memory than the weights in the file"),
        (_torchvision("vit_b_16", image_size=225), "torchvision cannot build vit_b_16"),
    ],
)
def test_load__a_net_out_of_proportion(net, message, tmp_path):
    file = write_checkpoint(tmp_path / "x.ckpt")
    content = torch.load(file, weights_only=True)
    content["lightseg"]["config"]["model"]["init_args"]["net"] = net
    torch.save(content, file)
    with pytest.raises(UserError) as caught:
        lightseg.load(file)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


class Looking(nn.Module):
    """Net that needs values while it is built, and has memory that is no weight."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.rate = self.weight.sum().item()
        self.held = torch.zeros(size, size)


class Endless(nn.Module):
    """Net whose constructor never returns."""

    def __init__(self) -> None:
        super().__init__()
        while True:
            pass


def test_require_net_fits__a_net_that_looks_at_its_values():
    require_net_fits(Looking, {"size": 8}, {"net.weight": torch.zeros(3)}, "x")
    with pytest.raises(UserError, match="x: does not fit the net of its recipe"):
        require_net_fits(Looking, {"size": 8}, {"net.weight": torch.zeros(4)}, "x")
    # 16 GiB, which are not asked for
    with pytest.raises(UserError, match="x: net: it needs more memory"):
        require_net_fits(Looking, {"size": 2**16}, {"net.weight": torch.zeros(3)}, "x")


def test_require_net_fits__a_net_without_end(monkeypatch):
    monkeypatch.setattr(validation, "_SECONDS", 0.2)
    with pytest.raises(UserError, match=r"x: net: takes more than 0\.2 s to build"):
        require_net_fits(Endless, {}, {}, "x")


def test_load__an_archive_over_several_disks_is_no_checkpoint(tmp_path):
    end = b"PK\x06\x07" + bytes(12) + (2).to_bytes(4, "little") + b"PK\x05\x06" + bytes(18)
    (tmp_path / "model.ckpt").write_bytes(bytes(64) + end)
    with pytest.raises(UserError, match=r"model\.ckpt: damaged or not a checkpoint"):
        lightseg.load(tmp_path / "model.ckpt")
