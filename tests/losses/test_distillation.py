"""Loss of a net that imitates a teacher, by hand, against torch's distributions, and in parts."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, kl_divergence

from lightseg.errors import ConfigError
from lightseg.labels import IGNORE
from lightseg.losses.distillation import Distillation

RANDOM = torch.Generator().manual_seed(0)
NET, TEACHER = torch.randn(2, 4, 3, 5, 5, generator=RANDOM)
TARGET = torch.randint(0, 3, (4, 5, 5), generator=RANDOM)
# batches of unequal numbers of valid pixels
TARGET[:2, :4] = IGNORE
LABELS = torch.randint(0, 2, (4, 3, 5, 5), generator=RANDOM).to(torch.uint8)
LABELS[:2, 1] = IGNORE
LOSS = torch.tensor(0.25)


def test_call__by_hand():
    teacher, net = torch.tensor([[2 * math.log(3), 0.0]]), torch.zeros(1, 2, requires_grad=True)
    loss = Distillation(temperature=2.0, weight=0.75)(LOSS, net, teacher, torch.tensor([1]))
    # at the temperature of 2, the teacher has 3/4 and 1/4, and the net 1/2 and 1/2
    divergence = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(loss.detach()) == pytest.approx(0.25 * 0.25 + 0.75 * 4 * divergence)
    loss.backward()
    # weight * T * (probability of the net - that of the teacher)
    torch.testing.assert_close(net.grad, torch.tensor([[0.75 * 2 * -0.25, 0.75 * 2 * 0.25]]))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_call__of_pixels_is_that_of_torchs_categorical(temperature):
    loss = Distillation(temperature, 1.0)(LOSS, NET, TEACHER, TARGET)
    teacher, net = (Categorical(logits=logits.movedim(1, -1) / temperature) for logits in (TEACHER, NET))
    expected = kl_divergence(teacher, net)[TARGET != IGNORE].mean() * temperature**2
    torch.testing.assert_close(loss, expected)


def test_call__of_overlapping_classes_is_that_of_torchs_bernoulli():
    loss = Distillation(3.0, 1.0)(LOSS, NET, TEACHER, LABELS)
    teacher, net = (Bernoulli(logits=logits / 3) for logits in (TEACHER, NET))
    torch.testing.assert_close(loss, kl_divergence(teacher, net)[LABELS != IGNORE].mean() * 9)


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("target", [TARGET, LABELS], ids=["pixels", "labels"])
def test_call__is_the_same_in_parts(target, parts):
    distillation = Distillation(weight=1.0)
    counts = torch.tensor([float((target != IGNORE).sum()), 0, 0]) / parts
    chunks = [*zip(*(values.chunk(parts) for values in (NET, TEACHER, target)), strict=True)]
    whole = distillation(LOSS, NET, TEACHER, target)
    torch.testing.assert_close(torch.stack([distillation(LOSS, *part, counts) for part in chunks]).mean(), whole)
    # a mean of means is another one
    assert abs(float(torch.stack([distillation(LOSS, *part) for part in chunks]).mean() - whole)) > 1e-3


def test_call__void_has_no_say_in_half_precision():
    net, teacher = NET.half().requires_grad_(), TEACHER.half()
    teacher.movedim(1, -1)[TARGET == IGNORE] = torch.inf
    loss = Distillation()(LOSS, net, teacher, TARGET)
    assert (loss.dtype, bool(loss.isfinite())) == (torch.float32, True)
    loss.backward()
    assert not net.grad.movedim(1, -1)[TARGET == IGNORE].any()
    assert net.grad.isfinite().all()


def test_call__of_a_part_without_a_valid_pixel_is_the_share_of_the_loss():
    void = torch.full_like(TARGET, IGNORE)
    for counts in (None, torch.tensor([3.0, 2.0, 1.0]), torch.zeros(3)):
        assert float(Distillation(weight=0.5)(LOSS, NET, TEACHER, void, counts)) == 0.125


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "teacher_temperature: must be 0.1 to 100, got 0"),
        ({"temperature": math.nan}, "teacher_temperature: must be 0.1 to 100, got nan"),
        ({"weight": 0.0}, "teacher_weight: must be above 0"),
        ({"weight": 1.5}, "teacher_weight: .* got 1.5"),
    ],
)
def test_options__out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        Distillation(**options)
