import logging

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.models import adapt_input_conv

from lightseg.errors import ConfigError
from lightseg.nets import FCN, Segmenter, SmpNet, TimmNet, TorchvisionNet, UNet
from lightseg.nets.weights import INCEPTION, adapt_input, adapt_normalization, is_file, split_export
from tests.nets.comparison import left_random

LITE = "tf_efficientnet_lite0"
FROM_TIMM = [TimmNet, FCN, Segmenter, SmpNet]


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    """Write a weights file with the names and shapes of the published ones, including the classifier."""
    torch.manual_seed(1)
    state = {key: torch.randn_like(value.float()) for key, value in timm.create_model(LITE).state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    save_file(state, path)
    return str(path), state


@pytest.mark.parametrize("net", FROM_TIMM)
def test_a_file_fills_the_encoder(net, lite, caplog):
    path, state = lite
    with caplog.at_level(logging.WARNING):
        built = net(5, encoder=LITE, encoder_weights=path)
    counters = [key for key in built.encoder.state_dict() if key.endswith("num_batches_tracked")]
    assert set(left_random(built.encoder, state)) <= set(counters)
    assert built.normalization == INCEPTION
    assert not caplog.records


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (torch.Tensor.char, "1 of another kind of number: conv_stem.weight torch.int8"),
        (lambda weight: weight.to(torch.float8_e4m3fn), "1 of another kind of number: conv_stem.weight torch.float8"),
        (lambda weight: weight / 0, "1 with NaN or infinity: conv_stem.weight"),
    ],
)
def test_weights_that_no_encoder_can_use_are_refused(change, message, lite, tmp_path):
    file = tmp_path / "weights.safetensors"
    save_file({**lite[1], "conv_stem.weight": change(lite[1]["conv_stem.weight"])}, file)
    with pytest.raises(ConfigError, match=message):
        TimmNet(5, encoder=LITE, encoder_weights=str(file))


@pytest.mark.parametrize("std", [torch.zeros(3), torch.full((3,), torch.nan), torch.ones(()), torch.ones(2)])
def test_normalization_of_an_export_that_is_damaged_is_refused(std):
    with pytest.raises(ConfigError, match="mean or std in this file is damaged"):
        split_export({"net.encoder.weight": torch.ones(1), "mean": torch.zeros(3), "std": std})


@pytest.mark.parametrize("net", FROM_TIMM)
@pytest.mark.parametrize("channels", [1, 4])
def test_rgb_weights_are_adapted_to_other_channels(net, channels, lite):
    path, state = lite
    built = net(5, in_channels=channels, encoder=LITE, encoder_weights=path)
    stem = next(v for k, v in built.encoder.state_dict().items() if k.endswith("conv_stem.weight"))
    rgb = state["conv_stem.weight"]
    expected = rgb.sum(1, keepdim=True) if channels == 1 else rgb[:, [0, 1, 2, 0]] * 3 / 4
    torch.testing.assert_close(stem, expected)
    assert [len(values) for values in built.normalization] == [channels, channels]


def test_the_file_is_not_kept_a_second_time(lite):
    for net in (TimmNet(5, encoder=LITE, encoder_weights=lite[0]), SmpNet(5, encoder=LITE, encoder_weights=lite[0])):
        configs = [getattr(module, "pretrained_cfg", None) or {} for module in net.modules()]
        assert not any(config.get("state_dict") for config in configs)


@pytest.mark.parametrize(
    "encoder", ["convnext_atto", "swin_tiny_patch4_window7_224", "resnet18", "vgg11_bn", "darknet53"]
)
@pytest.mark.slow
def test_a_file_fills_encoders_that_timm_rewrites(encoder, tmp_path):
    state = {
        k: torch.randn_like(v) if v.is_floating_point() else v
        for k, v in timm.create_model(encoder).state_dict().items()
    }
    torch.save({"state_dict": state}, tmp_path / "weights.pth")
    for net in FROM_TIMM:
        name = f"tu-{encoder}" if net is SmpNet else encoder
        built = net(5, encoder=name, encoder_weights=str(tmp_path / "weights.pth"))
        # swin recomputes its window masks; FCN adds a norm to a transformer's features, which no file has
        assert [k for k in left_random(built.encoder, state) if "attn_mask" not in k] == []


def test_a_classifier_may_be_missing_or_of_another_size(lite, tmp_path):
    state = {k: v for k, v in lite[1].items() if not k.startswith("classifier.")}
    save_file(state, tmp_path / "none.safetensors")
    save_file(
        {**state, "classifier.weight": torch.ones(7, 1280), "classifier.bias": torch.ones(7)},
        tmp_path / "7.safetensors",
    )
    for name in ("none", "7"):
        net = TimmNet(5, encoder=LITE, encoder_weights=str(tmp_path / f"{name}.safetensors"))
        assert torch.equal(net.encoder.conv_stem.weight, state["conv_stem.weight"])


@pytest.mark.parametrize("net", FROM_TIMM)
def test_missing_and_unexpected_names_are_told(net, lite, tmp_path):
    state = dict(lite[1])
    state["blocks.9.conv.weight"] = state.pop("blocks.0.0.conv_pw.weight")
    save_file(state, tmp_path / "broken.safetensors")
    with pytest.raises(ConfigError, match=r"1 missing: blocks\.0\.0\.conv_pw\.weight; 1 unexpected: blocks\.9\.conv"):
        net(5, encoder=LITE, encoder_weights=str(tmp_path / "broken.safetensors"))


def test_another_shape_is_told(lite, tmp_path):
    state = {**lite[1], "conv_stem.weight": torch.ones(32, 3, 5, 5)}
    save_file(state, tmp_path / "broken.safetensors")
    with pytest.raises(
        ConfigError, match=r"1 of another shape: conv_stem.weight \(32, 3, 5, 5\) instead of \(32, 3, 3, 3\)"
    ):
        TimmNet(5, encoder=LITE, encoder_weights=str(tmp_path / "broken.safetensors"))


@pytest.mark.parametrize(("net", "encoder"), [(TimmNet, "resnet18"), (SmpNet, "resnet18"), (TorchvisionNet, "alexnet")])
def test_the_wrong_file_is_refused(net, encoder, lite):
    with pytest.raises(ConfigError, match=f"not the weights of .*{encoder}.*lite0.safetensors"):
        net(5, encoder=encoder, encoder_weights=lite[0])


@pytest.mark.parametrize("net", [TimmNet, FCN, SmpNet, TorchvisionNet])
def test_a_missing_file_is_named(net):
    with pytest.raises(ConfigError, match=r"there is no file /nowhere/w\.safetensors"):
        net(5, encoder="resnet18", encoder_weights="/nowhere/w.safetensors")


@pytest.mark.parametrize("content", [b"", b"not weights at all"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_damaged_file_is_named(content, suffix, tmp_path):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(
        ConfigError, match=f"^model.net.encoder_weights: .*damaged{suffix}: cannot be read as weights"
    ) as caught:
        TimmNet(5, encoder_weights=str(path))
    assert "weights_only" not in str(caught.value)


def test_a_file_that_runs_code_is_refused(tmp_path):
    torch.save({"weight": print}, tmp_path / "code.pth")
    with pytest.raises(ConfigError, match=r"code\.pth: refused: it holds more than tensors \(.*print\); save [^;]*$"):
        TimmNet(5, encoder_weights=str(tmp_path / "code.pth"))


def test_a_file_without_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="holds no state dict"):
        TimmNet(5, encoder_weights=str(tmp_path / "other.pth"))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_smp_encoder_takes_torchvision_file(channels, tmp_path):
    torch.manual_seed(2)
    state = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(state, tmp_path / "resnet18.pt")
    net = SmpNet(5, in_channels=channels, encoder="resnet18", encoder_weights=str(tmp_path / "resnet18.pt"))
    assert torch.equal(net.encoder.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
    rgb = state["conv1.weight"]
    expected = {1: rgb.sum(1, keepdim=True), 3: rgb, 4: rgb[:, [0, 1, 2, 0]] * 3 / 4}[channels]
    torch.testing.assert_close(net.encoder.conv1.weight.detach(), expected)
    assert net.normalization == adapt_normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), channels)


def test_torchvisions_file_with_its_classifiers(tmp_path):
    state = torchvision.models.googlenet(weights=None, init_weights=False).state_dict()
    torch.save(state, tmp_path / "googlenet.pth")
    net = TorchvisionNet(5, in_channels=1, encoder="googlenet", encoder_weights=str(tmp_path / "googlenet.pth"))
    torch.testing.assert_close(net.encoder.conv1.conv.weight.detach(), state["conv1.conv.weight"].sum(1, keepdim=True))
    assert torch.equal(net.encoder.inception5b.branch1.conv.weight, state["inception5b.branch1.conv.weight"])
    assert net.normalization == ((0.5,), (0.5,))


@pytest.mark.parametrize(
    ("source", "target", "encoder"),
    [
        (TimmNet, Segmenter, "test_vit"),
        (TimmNet, FCN, "test_resnet"),
        (Segmenter, TimmNet, "test_resnet"),
        (SmpNet, SmpNet, "mobilenet_v2"),
        (TorchvisionNet, TorchvisionNet, "squeezenet1_1"),
        # names of feature maps, and layers that a net drops
        (FCN, FCN, "convnextv2_atto"),
        (FCN, Segmenter, "convnextv2_atto"),
        (Segmenter, Segmenter, "test_efficientnet"),
        (SmpNet, FCN, "mobilenetv3_small_050"),
    ],
)
def test_an_export_of_lightseg_fills_the_encoder(source, target, encoder, tmp_path):
    torch.manual_seed(1)
    path, trained = str(tmp_path / "model.safetensors"), source(5, encoder=encoder)
    _save_export(trained, path)
    net = target(7, encoder=encoder, encoder_weights=path)
    expected, state = (
        {key.removeprefix("model.").replace(".", "_"): value for key, value in built.encoder.state_dict().items()}
        for built in (trained, net)
    )
    assert len(expected.keys() & state.keys()) > 0.8 * len(state)
    assert all(torch.equal(state[name], expected[name]) for name in expected.keys() & state.keys())
    assert net.normalization == ((0.25, 0.5, 0.75), (1.0, 1.0, 1.0))


def test_an_export_without_the_last_layers_says_what_starts_anew(tmp_path, capsys):
    path = str(tmp_path / "model.safetensors")
    _save_export(FCN(5, encoder="mobilenetv3_small_050"), path)
    net = TimmNet(5, encoder="mobilenetv3_small_050", encoder_weights=path)
    assert net.encoder.conv_head.weight.isfinite().all()
    assert (
        "layers of mobilenetv3_small_050, which start anew if this net has them: conv_head" in capsys.readouterr().err
    )


def _save_export(net, path):
    state = {f"net.{name}": value.contiguous() for name, value in net.state_dict().items()}
    mean = torch.tensor([0.25, 0.5, 0.75]).view(1, 3, 1, 1)
    save_file({**state, "mean": mean, "std": torch.ones(1, 3, 1, 1)}, path)


@pytest.mark.parametrize(("net", "name"), [(UNet, "down"), (FCN, "encoder")])
def test_an_export_fills_a_net_without_an_encoder_of_a_library(net, name, tmp_path, capsys):
    torch.manual_seed(1)
    path, trained = str(tmp_path / "model.safetensors"), net(5, width=4)
    _save_export(trained, path)
    for channels in (3, 1):
        built = net(7, in_channels=channels, width=4, encoder_weights=path)
        expected = trained.get_submodule(name).state_dict()
        (first,) = [key for key, value in expected.items() if value.ndim == 4 and value.shape[1] == 3]
        expected[first] = expected[first] if channels == 3 else expected[first].sum(1, keepdim=True)
        state = built.get_submodule(name).state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(value, expected[key]) for key, value in state.items())
        assert built.normalization == (((0.25, 0.5, 0.75), (1.0, 1.0, 1.0)) if channels == 3 else ((0.5,), (1.0,)))
    assert capsys.readouterr().err == ""


def test_an_export_fills_what_fits_of_a_deeper_unet_and_says_so(tmp_path, capsys):
    path, trained = str(tmp_path / "model.safetensors"), UNet(5, width=4, depth=2)
    _save_export(trained, path)
    built = UNet(5, width=4, depth=3, encoder_weights=path)
    assert torch.equal(built.down[2][0].weight, trained.down[2][0].weight)
    assert "36 of 48 tensors of UNet are from" in (message := capsys.readouterr().err)
    assert "new: 3.0.weight, 3.1.weight, 3.1.bias and 9 more" in message


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda path: UNet(5, width=8, encoder_weights=path), "no weight of .* fits UNet: the shapes differ"),
        (lambda path: FCN(5, width=4, encoder_weights=path), r"FCN's plain trunk: it has none of the names"),
        (
            lambda path: UNet(5, encoder_weights="imagenet"),
            "UNet has no weights by the name imagenet; give",
        ),
        (lambda path: UNet(5, encoder_weights=f"{path}.pt"), "there is no file"),
        (lambda path: FCN(5, encoder="resnet18", encoder_weights=path), "these are not the weights of timm's resnet18"),
    ],
)
def test_an_export_that_does_not_fit_is_refused(build, match, tmp_path):
    path = str(tmp_path / "model.safetensors")
    _save_export(UNet(5, width=4), path)
    with pytest.raises(ConfigError, match=match):
        build(path)


def test_an_export_of_another_architecture_is_refused(tmp_path):
    path = str(tmp_path / "model.safetensors")
    _save_export(TimmNet(5, encoder="test_resnet"), path)
    with pytest.raises(ConfigError, match="these are not the weights of timm's test_vit"):
        Segmenter(5, encoder="test_vit", encoder_weights=path)


def test_a_trained_encoder_moves_to_another_net(tmp_path):
    classifier = TimmNet(5, encoder="resnet18")
    torch.save(classifier.encoder.state_dict(), tmp_path / "mine.pt")
    segmenter = FCN(5, encoder="resnet18", encoder_weights=str(tmp_path / "mine.pt"))
    assert torch.equal(segmenter.encoder.layer4[0].conv1.weight, classifier.encoder.layer4[0].conv1.weight)


def test_names_and_files_are_told_apart():
    assert all(map(is_file, ["w.pt", "w.pth", "./w", "dir/w.bin", "w.safetensors"]))
    assert not any(map(is_file, ["imagenet", "a1_in1k", "IMAGENET1K_V1", "fb_in22k_ft_in1k"]))


def test_adapt_normalization():
    assert adapt_normalization((0.1, 0.2, 0.6), (0.1, 0.2, 0.3), 1) == ((pytest.approx(0.3),), (pytest.approx(0.2),))
    assert adapt_normalization((0.1, 0.2, 0.3), (1, 2, 3), 4) == ((0.1, 0.2, 0.3, 0.1), (1.0, 2.0, 3.0, 1.0))


def test_adapt_input():
    weight = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    assert adapt_input(weight, 1).flatten().tolist() == [6.0]
    assert adapt_input(weight, 2).flatten().tolist() == [1.5, 3.0]
    assert adapt_input(weight, 4).flatten().tolist() == [0.75, 1.5, 2.25, 0.75]
    assert adapt_input(weight[:, :1], 2).flatten().tolist() == [0.5, 0.5]


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_adapt_input__of_rgb_as_in_timm(channels):
    weight = torch.rand(4, 3, 3, 3)
    assert torch.equal(adapt_input(weight, channels), adapt_input_conv(channels, weight.clone()))
