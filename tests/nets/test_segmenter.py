import numpy as np
import pytest
import torch
from PIL import Image

from lightseg.errors import ConfigError
from lightseg.exporting.formats import open_onnx, write_onnx
from lightseg.exporting.graph import InferenceGraph, trace
from lightseg.losses.class_weights import last_bias
from lightseg.nets import Segmenter, TimmNet
from lightseg.nets.heads import HEADS
from lightseg.predict import main
from lightseg.tasks import SegmentationTask
from lightseg.tasks.transfer import Origin, Target
from tests.nets.tiny_encoders import ENCODERS, STRIDES, image_shape

CLASSES = ["a", "b", "c"]
PLAIN = {"mean": [0.2, 0.3, 0.4], "std": [0.5, 0.25, 0.125]}
PAIRS = [(family, head) for family in ENCODERS for head in HEADS]
# every family and every head
FEW = [(family, list(HEADS)[index % len(HEADS)]) for index, family in enumerate(ENCODERS)]


def build(family, head="fpn", **options):
    encoder, kwargs = ENCODERS[family]
    torch.manual_seed(0)
    return Segmenter(
        3, encoder=encoder, head=head, kwargs=kwargs, **{"width": None if head == "linear" else 8, **options}
    )


def require_contract(family, head):
    """Require logits of every pixel at odd sizes, finite, and a gradient for every parameter that is trained."""
    net = build(family, head)
    task = SegmentationTask(net, CLASSES, **PLAIN)
    images = torch.rand(image_shape(family))
    logits = task(images)
    assert logits.shape == (2, 3, *images.shape[2:])
    logits.square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)
    assert net.stride == STRIDES[family]
    # whatever is left of the encoder is used
    assert [name for name, p in net.named_parameters() if not p.requires_grad] == []
    assert not {id(p) for p in net.encoder.parameters()} & {id(p) for p in net.head.parameters()}
    assert torch.equal(last_bias(net, 3), list(net.head.modules())[-1].bias)
    with torch.no_grad():
        assert task.eval()(images[:1]).isfinite().all()


@pytest.mark.parametrize(("family", "head"), FEW)
def test_segmenter__every_family_and_every_head(family, head):
    require_contract(family, head)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "head"), [pair for pair in PAIRS if pair not in FEW])
def test_segmenter__every_pair(family, head):
    require_contract(family, head)


def require_parity(family, head, path):
    """Require that the exported graph gives the logits of the task, at odd sizes too."""
    net = build(family, head)
    task = SegmentationTask(net, CLASSES, **PLAIN).eval()
    traced = trace(task, image_shape(family)[2:])
    assert (traced.size is None) == (family != "hiera")
    write_onnx(traced, path, {"lightseg": "0", "classes": CLASSES})
    predict = open_onnx(path)
    sizes = [image_shape(family)[2:]] + ([] if family == "hiera" else [(64, 128), (15, 33)])
    for batch, size in enumerate(sizes, start=1):
        image = torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8)
        with torch.no_grad():
            expected = InferenceGraph(task)(image)
        np.testing.assert_allclose(predict(image)[0], expected[0], atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(("family", "head"), FEW)
def test_segmenter__exports_every_family(family, head, tmp_path):
    require_parity(family, head, tmp_path / "net.onnx")


@pytest.mark.parametrize("channels", [1, 4])
def test_segmenter__other_channels(channels):
    for family in ("convnextv2", "vit"):
        assert build(family, in_channels=channels).eval()(torch.rand(1, channels, 64, 96)).shape == (1, 3, 64, 96)


def test_levels__are_those_of_strides_4_to_32_or_of_the_quarters_of_the_blocks():
    assert build("resnet").indices == [1, 2, 3, 4]
    for depth, indices in {12: [2, 5, 8, 11], 2: [0, 1], 1: [0]}.items():
        net = Segmenter(3, encoder="test_vit", kwargs={"depth": depth})
        assert net.indices == indices


def test_levels__of_a_plain_transformer_are_normalized():
    net = build("dinov2", "linear").eval()
    levels = []
    net.head.register_forward_pre_hook(lambda _, args: levels.extend(args[0]))
    net(torch.rand(1, 3, 28, 42))
    assert [level.shape for level in levels] == [(1, 24, 2, 3)] * 4
    for level in levels:
        torch.testing.assert_close(level.mean(1), torch.zeros(1, 2, 3), atol=1e-5, rtol=0)


def test_encoder__has_the_names_of_a_classifier_so_that_its_weights_fit():
    encoder, kwargs = ENCODERS["dinov2"]
    classifier, segmenter = TimmNet(5, encoder=encoder, kwargs=kwargs), build("dinov2")
    origin = Origin("x", "TimmNet", classifier.state_dict(), ["v", "w", "x", "y", "z"], 3)
    task = SegmentationTask(segmenter, CLASSES)
    report = task.start_from(origin, Target(CLASSES, 3))
    assert {name for name in segmenter.state_dict() if name.startswith("encoder.")} == set(report.equal)
    assert torch.equal(segmenter.encoder.blocks[3].attn.qkv.weight, classifier.encoder.blocks[3].attn.qkv.weight)


def test_size__another_one_is_named():
    with pytest.raises(ConfigError, match=r"takes images of 64×96 alone, got 64×64; crop or resize"):
        build("hiera")(torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"head": "fpm"}, "no 'fpm'; did you mean fpn"),
        ({"encoder": "resnett18"}, "did you mean resnet18"),
        ({"width": 0}, "must be 1 or more, got 0"),
        ({"head": "linear", "width": 8}, "linear has no width"),
        ({"kwargs": {"num_classes": 4}}, "lightseg itself sets num_classes"),
        ({"kwargs": {"nope": 4}}, "timm cannot build resnet18.a1_in1k.*nope"),
    ],
)
def test_refusals(options, match):
    with pytest.raises(ConfigError, match=match) as caught:
        Segmenter(3, **options)
    assert len(str(caught.value).splitlines()) == 1


def test_fit__trains_and_predicts_at_an_odd_size(fit, recipe, call, tmp_path):
    net = "{class_path: Segmenter, init_args: {encoder: test_vit, head: dpt, width: 8}}"
    options = ["--model.net", net, "--model.encoder_lr_factor", "0.1", "--model.prior_bias", "true"]
    outcome = fit("--config", recipe(), *options, "--trainer.max_epochs", "1")
    assert outcome.code == 0, outcome.err
    image = np.random.default_rng(0).integers(0, 256, (37, 61, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "odd.png")
    code, _, err = call(main, outcome.folder, tmp_path / "odd.png", "--out", tmp_path / "masks")
    assert (code, err) == (0, "")
    with Image.open(tmp_path / "masks/odd.png") as mask:
        assert mask.size == (61, 37)
