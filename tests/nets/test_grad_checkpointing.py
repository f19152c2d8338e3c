"""Gradient checkpointing: the same gradients and statistics, and less memory; drop path beside it."""

import pytest
import torch
from timm.layers import DropPath

from lightseg.errors import ConfigError
from lightseg.nets import FCN, Segmenter, SmpNet, TimmNet
from lightseg.tasks.depthwise import float32_depthwise
from tests.helpers.refusal import assert_refused
from tests.nets.tiny_encoders import ENCODERS

SEGMENTERS = {
    family: (Segmenter, {"encoder": name, "kwargs": kwargs, "head": "linear"})
    for family, (name, kwargs) in ENCODERS.items()
}
NETS = {
    **SEGMENTERS,
    "timm": (TimmNet, {"encoder": "test_resnet"}),
    "timm_vit": (TimmNet, {"encoder": "test_vit", "kwargs": {"drop_path_rate": 0.5}}),
    "fcn": (FCN, {"encoder": "test_resnet"}),
    "smp": (SmpNet, {"encoder": "tu-mobilenetv3_small_050"}),
    "smp_dpt": (
        SmpNet,
        {"encoder": "tu-test_vit", "arch": "dpt", "kwargs": {"decoder_intermediate_channels": [8] * 4}},
    ),
}


def step(name, checkpointing):
    """Return loss, gradients, buffers and the bytes that are kept for the backward pass of a training step."""
    cls, options = NETS[name]
    torch.manual_seed(0)
    net = cls(3, **options, grad_checkpointing=checkpointing)
    side = 64 if net.stride == 1 else 2 * net.stride
    images = torch.rand(2, 3, side, 96 if name == "hiera" else side)
    kept = 0

    def pack(tensor):
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = net(images).square().mean()
    loss.backward()
    gradients = {key: value.grad for key, value in net.named_parameters() if value.grad is not None}
    return loss.detach(), gradients, dict(net.named_buffers()), kept


@pytest.mark.parametrize("name", NETS)
def test_grad_checkpointing__gives_the_same_step_with_less_memory(name):
    (loss, gradients, buffers, kept), (other_loss, others, other_buffers, fewer) = (
        step(name, checkpointing) for checkpointing in (False, True)
    )
    assert torch.equal(loss, other_loss)
    assert gradients.keys() == others.keys()
    for key, value in gradients.items():
        torch.testing.assert_close(others[key], value)
    # statistics are updated once, though the forward pass is computed twice; their counter counts both
    statistics = {key: value for key, value in buffers.items() if not key.endswith("num_batches_tracked")}
    assert all(torch.equal(value, other_buffers[key]) for key, value in statistics.items())
    assert fewer < kept


def test_grad_checkpointing__evaluation_does_not_change_the_statistics():
    net = TimmNet(3, encoder="test_resnet", grad_checkpointing=True)
    images = torch.rand(2, 3, 64, 64)
    net(images).sum().backward()
    before = {key: value.clone() for key, value in net.named_buffers()}
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(images), net(images))
    assert all(torch.equal(value, before[key]) for key, value in net.named_buffers())
    net.train()(images)
    assert any(not torch.equal(value, before[key]) for key, value in net.named_buffers())


def test_grad_checkpointing__in_mixed_precision_with_depthwise_convolutions():
    net = Segmenter(3, encoder="test_efficientnet", head="linear", grad_checkpointing=True)
    with torch.autocast("cpu", torch.bfloat16), float32_depthwise(net):
        logits = net(torch.rand(2, 3, 64, 64))
    logits.float().sum().backward()
    assert all(value.grad is not None for value in net.parameters() if value.requires_grad)


@pytest.mark.parametrize(
    "net",
    [lambda: SmpNet(3, encoder="resnet18", grad_checkpointing=True), lambda: FCN(3, width=4, grad_checkpointing=True)],
)
def test_grad_checkpointing__of_other_encoders_is_refused(net):
    with pytest.raises(ConfigError, match="grad_checkpointing"):
        net()


RECIPE = """
base: [configs/data/shapes_classification.yaml, configs/net/timm.yaml]
model:
  init_args:
    net: {init_args: {encoder: test_resnet, encoder_weights: null, grad_checkpointing: true}}
data:
  init_args: {image_size: 32, train_size: 12, val_size: 5, test_size: 5, batch_size: 4, num_workers: 0}
trainer: {accelerator: cpu, max_epochs: 1, log_every_n_steps: 1}
"""


def test_grad_checkpointing__a_training_is_the_same(fit, recipe):
    def train(*options):
        outcome = fit("--config", recipe(RECIPE), *options)
        assert outcome.code == 0, outcome.err
        return [line["train/loss"] for line in outcome.log if "train/loss" in line], outcome.metrics["test/score"]

    (losses, score), (others, other_score) = train(), train("--model.net.grad_checkpointing", "false")
    assert losses == pytest.approx(others, rel=1e-6)
    assert score == other_score


def test_grad_checkpointing__is_refused_with_compile_and_by_nets_without(fit, recipe):
    assert_refused(fit("--config", recipe(RECIPE), "--model.compile", "true"), "model.net.grad_checkpointing: ")
    other = ["--model.net", "SimpleCNN", "--model.net.grad_checkpointing", "true"]
    assert_refused(fit("--config", recipe(RECIPE), *other), "grad_checkpointing")


@pytest.mark.parametrize(
    "net",
    [
        lambda kwargs: TimmNet(3, encoder="test_vit", kwargs=kwargs),
        lambda kwargs: Segmenter(3, encoder="test_vit", kwargs=kwargs),
        lambda kwargs: SmpNet(3, arch="fpn", encoder="tu-convnextv2_atto", kwargs=kwargs),
    ],
)
def test_drop_path__is_an_argument_of_the_encoder(net):
    rates = [module.drop_prob for module in net({"drop_path_rate": 0.25}).modules() if isinstance(module, DropPath)]
    assert max(rates) == pytest.approx(0.25)
