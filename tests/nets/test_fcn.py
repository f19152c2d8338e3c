import pytest
import torch

from lightseg.errors import ConfigError
from lightseg.nets import FCN

SCORES = {"32s": 1, "16s": 2, "8s": 3}


@pytest.mark.parametrize("encoder", [None, "resnet18.a1_in1k", "convnext_atto.d2_in1k"])
@pytest.mark.parametrize("variant", SCORES)
def test_variants_score_from_their_stride_on(variant, encoder):
    net = FCN(3, variant=variant, encoder=encoder, width=4)
    assert len(net.scores) == SCORES[variant]
    assert net.stride == 32
    logits = net(torch.rand(2, 3, 64, 96))
    assert logits.shape == (2, 3, 64, 96)
    logits.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_a_finer_variant_sees_finer_detail():
    torch.manual_seed(0)
    smooth = {v: FCN(1, variant=v, width=4).eval()(torch.rand(1, 3, 64, 64)) for v in SCORES}
    # with one score per 32×32 the rows are straight between the cells' centres
    bends = smooth["32s"][0, 0, 20:44, 32].diff(n=2).abs().max()
    assert bends < 1e-5 < smooth["8s"][0, 0, 20:44, 32].diff(n=2).abs().max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoder", "variant"),
    [
        ("vgg11_bn.tv_in1k", "8s"),
        ("efficientnet_b0.ra_in1k", "8s"),
        ("swin_tiny_patch4_window7_224.ms_in1k", "8s"),
        ("hrnet_w18_small.gluon_in1k", "8s"),
        ("vit_tiny_patch16_224.augreg_in21k", "16s"),
        ("pvt_v2_b0.in1k", "32s"),
    ],
)
def test_encoder_families(encoder, variant):
    net = FCN(3, encoder=encoder, variant=variant)
    logits = net(torch.rand(2, 3, 64, 96))
    assert logits.shape == (2, 3, 64, 96)
    logits.sum().backward()
    assert [k for k, p in net.named_parameters() if p.grad is None and p.requires_grad] == []
    # only HRNet has layers for a finer stride than the finest score
    assert encoder.startswith("hrnet") or all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"variant": "4s"}, "must be one of 32s, 16s, 8s"),
        ({"encoder": "vit_tiny_patch16_224"}, "has strides 16"),
        ({"encoder": "resnet81"}, "did you mean resnet18"),
        ({"encoder_weights": "imagenet"}, "FCN's plain trunk has no weights by the name imagenet"),
        ({"kwargs": {"drop_path_rate": 0.1}}, "set model.net.encoder"),
    ],
)
def test_refusals(kwargs, match):
    with pytest.raises(ConfigError, match=match):
        FCN(3, **kwargs)
