import pytest
import torch
from torch.nn import functional as F

from lightseg.checkpoint import loading
from lightseg.data import ShapesClassification
from lightseg.errors import ConfigError
from lightseg.nets import WhitenedCNN
from lightseg.nets.whitened_cnn import whitening_filters


def images(count=20, side=12):
    """Smooth images, of which neighbouring pixels and channels tell much about each other."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(count, 3, side + 4, side + 4, generator=generator)
    return F.avg_pool2d(noise, 5, 1) + noise[:, :1, :side, :side] * 0.2


def test_has_the_number_of_parameters_that_its_source_has():
    # 312 + 24·64·9 + 64·64·9 + 64·256·9 + 256·256·9 + 256·256·9 + 256·256·9 + 2·(2·64 + 4·256) + 2560
    assert sum(p.numel() for p in WhitenedCNN(10).parameters()) == 1_972_792


def test_whitening_filters__make_patches_uncorrelated_and_alike():
    filters = whitening_filters(images(), 2, epsilon=0.0)
    assert filters.shape == (12, 3, 2, 2)
    outputs = F.conv2d(images().double(), filters).transpose(0, 1).flatten(1)
    moments = outputs @ outputs.T / outputs.shape[1]
    assert torch.allclose(moments, torch.eye(12, dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_whitening_filters__by_hand(sign):
    # one patch v of length 5: along it the moment is 25, across it nothing varies
    v = sign * torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])
    filters = whitening_filters([v], 2, epsilon=24.0)
    # (0.6, 0, 0, 0.8) / sqrt(25 + 24), with the largest number positive whatever the library says
    assert torch.allclose(filters[0, 0], torch.tensor([[0.6, 0.0], [0.0, 0.8]]).double() / 7, atol=1e-6)
    assert torch.allclose(filters[1:].flatten(1).norm(dim=1), torch.full((3,), 24**-0.5).double())


def test_start_from__sets_only_the_first_layer():
    net = WhitenedCNN(5, width=4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.start_from(iter(images()))
    changed = [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["whiten.weight"]
    assert torch.equal(net.whiten.weight[:12], -net.whiten.weight[12:])
    assert torch.allclose(net.whiten.weight[:12], whitening_filters(images(), 2).float())
    assert not net.whiten.weight.requires_grad


def test_convolutions__pass_their_input_on_at_first():
    net = WhitenedCNN(5, width=8)
    x = torch.rand(2, 8, 6, 6)
    assert torch.equal(net.groups[0][4](x), x)


def test_images__of_other_sizes():
    net = WhitenedCNN(5, 1, width=4).eval()
    assert net(torch.rand(2, 1, 9, 40)).shape == (2, 5)
    with pytest.raises(ConfigError, match="needs images of 9×9 or more and got 8×40"):
        net(torch.rand(2, 1, 8, 40))


RECIPE = """
base: [configs/data/shapes_classification.yaml, configs/net/whitened_cnn.yaml]
model: {init_args: {net: {init_args: {width: 4}}, norm_bias_lr_factor: 64.0}}
data:
  init_args:
    image_size: 32
    train_size: 24
    val_size: 5
    test_size: 5
    batch_size: 8
    num_workers: 0
    train_transforms: []
    on_device: true
    device_transforms: [{class_path: lightseg.data.device_transforms.AlternatingFlip}]
trainer:
  accelerator: cpu
  max_epochs: 2
  log_every_n_steps: 1
  callbacks: [{class_path: lightseg.callbacks.Lookahead, init_args: {every: 1, start: 0.0}}]
"""


def test_fit__first_layer_is_computed_once(fit, recipe):
    outcome = fit("--config", recipe(RECIPE))
    assert outcome.code == 0, outcome.err
    task = loading.load(outcome.folder / "checkpoints/best.ckpt")
    data = ShapesClassification(image_size=32, train_size=24)
    raw = torch.stack([torch.from_numpy(data.dataset("train")[index][0].transpose(2, 0, 1)) for index in range(24)])
    normalised = (raw.float() / 255 - task.mean) / task.std
    # in another order, and so with other roundings
    expected = whitening_filters(normalised, 2).float()
    assert torch.allclose(task.net.whiten.weight[:12], expected, rtol=1e-3, atol=1e-3)


def test_fit__before_an_average_copies_the_weights(fit, recipe):
    averaged = RECIPE.replace(
        "lightseg.callbacks.Lookahead, init_args: {every: 1, start: 0.0}", "lightseg.callbacks.EMA"
    )
    outcome = fit("--config", recipe(averaged))
    assert outcome.code == 0, outcome.err
    state = torch.load(outcome.folder / "checkpoints/last.ckpt", weights_only=True)
    for weights in (state["state_dict"], state["current_model_state"]):
        whitening = weights["net.whiten.weight"]
        # the copy of one that was drawn by chance would have no negatives
        assert torch.equal(whitening[:12], -whitening[12:])


def test_fast_recipe__trains_through_the_command_line(fit, recipe):
    tiny = ["image_size", 32, "train_size", 64, "val_size", 8, "test_size", 8, "batch_size", 16, "num_workers", 0]
    options = [f"--data.{part}" if index % 2 == 0 else part for index, part in enumerate(tiny)]
    outcome = fit(
        *("--config", "experiments/cifar10/fast.yaml", "--data", "ShapesClassification", *options),
        *("--model.net.width", 4, "--trainer.accelerator", "cpu", "--trainer.log_every_n_steps", 1),
    )
    assert outcome.code == 0, outcome.err
    assert outcome.metrics["train/steps"] == 40
    assert set(outcome.metrics) >= {"val/score", "test/score"}
