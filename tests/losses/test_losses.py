"""Losses: the contract that all share, and values by hand."""

import math
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lightseg.labels import IGNORE
from lightseg.losses.class_weights import WeightScheme, class_weights
from lightseg.losses.losses import (
    LOSSES,
    MSE,
    MULTILABEL_LOSSES,
    BinaryCrossEntropy,
    BinaryFocal,
    CrossEntropy,
    Dice,
    Focal,
    Jaccard,
    Lovasz,
    OHEMCrossEntropy,
    SigmoidFocal,
    Tversky,
)
from lightseg.losses.weighted_sum import build_loss

CLASSES = 4
WEIGHTS = {"plain": None, "weighted": torch.tensor([0.2, 1.0, 3.0, 0.5])}

every_loss = pytest.mark.parametrize("name", LOSSES)
with_and_without_weights = pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)


def a_batch(seed=0, size=(2, 6, 5), dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(size[0], CLASSES, *size[1:], generator=generator)
    target = torch.randint(CLASSES, size, generator=generator)
    target[torch.rand(size, generator=generator) < 0.3] = IGNORE
    return logits.to(dtype).requires_grad_(), target


def logits_of(*rows):
    """Logits (1, C, P) whose softmax is the given probabilities, one row for each pixel."""
    return torch.tensor(rows).log().T.unsqueeze(0)


# ---- the contract of every loss -------------------------------------------------------------------------------------


@every_loss
@with_and_without_weights
def test_contract__gradient_under_ignore_is_exactly_zero(name, weight):
    logits, target = a_batch()
    LOSSES[name](weight)(logits, target).backward()
    ignored = (target == IGNORE).unsqueeze(1).expand_as(logits)
    assert (logits.grad[ignored] == 0).all()
    assert logits.grad[~ignored].abs().sum() > 0


@every_loss
@with_and_without_weights
@pytest.mark.parametrize("poison", [math.inf, -math.inf, math.nan, 1e30])
def test_contract__logits_under_ignore_have_no_influence(name, weight, poison):
    logits, target = a_batch()
    loss = LOSSES[name](weight)
    expected = loss(logits, target)
    ignored = (target == IGNORE).unsqueeze(1)
    poisoned = logits.detach().masked_fill(ignored, poison).requires_grad_()
    value = loss(poisoned, target)
    value.backward()
    assert value.item() == expected.item()
    assert poisoned.grad.isfinite().all()
    assert (poisoned.grad[ignored.expand_as(poisoned)] == 0).all()


@every_loss
@with_and_without_weights
def test_contract__only_valid_pixels_count(name, weight):
    logits, target = a_batch()
    valid = target != IGNORE
    loss = LOSSES[name](weight)
    alone = loss(logits.movedim(1, -1)[valid], target[valid])
    torch.testing.assert_close(loss(logits, target), alone)


@every_loss
@with_and_without_weights
@pytest.mark.parametrize("shape", [(3,), (2, 4, 4)])
def test_contract__all_void_is_zero_with_zero_gradient(name, weight, shape):
    logits = torch.randn(shape[0], CLASSES, *shape[1:], requires_grad=True)
    loss = LOSSES[name](weight)(logits, torch.full(shape, IGNORE))
    (loss * 65536).backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", ["dice", "jaccard", "tversky"])
def test_contract__all_void_without_smoothing_is_zero(name):
    logits = torch.randn(1, CLASSES, 3, requires_grad=True)
    loss = LOSSES[name](smooth=0.0)(logits, torch.full((1, 3), IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@every_loss
def test_contract__only_targets_of_weight_zero_is_zero(name):
    logits = torch.randn(2, CLASSES, 3, requires_grad=True)
    loss = LOSSES[name](torch.tensor([0.0, 1, 1, 1]))(logits, torch.zeros(2, 3, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@every_loss
def test_contract__half_precision_is_finite_and_close(name):
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(1, CLASSES, 1024, 1024, generator=generator)
    target = torch.randint(CLASSES, (1, 1024, 1024), generator=generator)
    target[:, :100] = IGNORE
    loss = LOSSES[name]()
    with torch.autocast("cpu", torch.bfloat16):
        half = loss(logits.half(), target)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(loss(logits, target).item(), abs=1e-3)


@every_loss
@with_and_without_weights
def test_contract__nothing_is_rounded_to_float32_of_float64_logits(name, weight):
    logits, target = a_batch(size=(2, 3, 2), dtype=torch.float64)
    loss = LOSSES[name](weight)
    assert loss(logits, target).dtype == torch.float64
    # the slope over a millionth of a step: with an eighth digit that is rounded it would be off by a tenth
    assert torch.autograd.gradcheck(lambda values: loss(values, target), logits.detach().requires_grad_())


@every_loss
@with_and_without_weights
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4, 6e4])
def test_contract__gradient_is_finite_for_any_logits(name, weight, scale):
    logits, target = a_batch()
    logits = (logits.detach().clamp(-1, 1) * scale).half().requires_grad_()
    loss = LOSSES[name](weight)(logits, target)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@every_loss
@with_and_without_weights
def test_contract__classification_and_segmentation_shapes_agree(name, weight):
    logits, target = a_batch(size=(12,))
    loss = LOSSES[name](weight)
    image = logits.T.reshape(1, CLASSES, 3, 4)
    torch.testing.assert_close(loss(logits, target), loss(image, target.reshape(1, 3, 4)))


@every_loss
@with_and_without_weights
def test_contract__order_of_classes_does_not_matter(name, weight):
    logits, target = a_batch()
    order = torch.tensor([2, 0, 3, 1])
    place = order.argsort()
    moved = torch.where(target == IGNORE, IGNORE, place[target.clamp(max=CLASSES - 1)])
    expected = LOSSES[name](weight)(logits, target)
    value = LOSSES[name](None if weight is None else weight[order])(logits[:, order], moved)
    torch.testing.assert_close(value, expected)


@every_loss
@with_and_without_weights
def test_contract__memory_layout_does_not_matter(name, weight):
    logits, target = a_batch()
    loss = LOSSES[name](weight)
    strided = logits.detach().to(memory_format=torch.channels_last)
    torch.testing.assert_close(loss(strided, target), loss(logits, target))


@every_loss
@with_and_without_weights
def test_contract__perfect_is_small_and_opposite_is_large(name, weight):
    _, target = a_batch()
    right = 20.0 * (2 * F.one_hot(target.clamp(max=CLASSES - 1), CLASSES).movedim(-1, 1) - 1)
    loss = LOSSES[name](weight)
    assert 0 <= loss(right, target) < 1e-3
    assert loss(-right, target) > 0.2


@every_loss
@with_and_without_weights
def test_contract__a_step_against_the_gradient_lowers_it(name, weight):
    logits, target = a_batch()
    loss = LOSSES[name](weight)
    before = loss(logits, target)
    before.backward()
    after = loss(logits - 0.1 * logits.grad / logits.grad.norm(), target)
    assert after < before


@every_loss
@pytest.mark.parametrize("scheme", get_args(WeightScheme))
def test_contract__weights_change_the_value(name, scheme):
    logits, target = a_batch()
    weight = class_weights(scheme, torch.tensor([1_000_000, 20_000, 300_000, 5]))
    assert abs(LOSSES[name](weight)(logits, target) - LOSSES[name]()(logits, target)) > 1e-4


@every_loss
def test_contract__scale_of_weights_does_not_matter(name):
    logits, target = a_batch()
    weight = WEIGHTS["weighted"]
    torch.testing.assert_close(LOSSES[name](weight)(logits, target), LOSSES[name](100 * weight)(logits, target))


@every_loss
def test_contract__weights_move_with_the_module_but_are_not_saved(name):
    loss = LOSSES[name](WEIGHTS["weighted"])
    assert loss.state_dict() == {}
    assert [key for key, _ in loss.named_buffers()] == ["weight"]


def test_contract__wrong_input_is_named():
    loss = CrossEntropy(torch.ones(3))
    with pytest.raises(ValueError, match=r"\(2, 3, 4\).*\(2, 5\)"):
        loss(torch.zeros(2, 3, 4), torch.zeros(2, 5, dtype=torch.int64))
    with pytest.raises(ValueError, match="3 class weights"):
        loss(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"targets \[-1, 3\]"):
        loss(torch.zeros(3, 3), torch.tensor([3, -1, IGNORE]))
    with pytest.raises(ValueError, match="at most 255"):
        CrossEntropy()(torch.zeros(1, 256), torch.tensor([0]))


# ---- values worked out by hand --------------------------------------------------------------------------------------

# three pixels of class 0, 0 and 1, and one that is ignored
LOGITS = logits_of([0.8, 0.2], [0.5, 0.5], [0.4, 0.6], [0.1, 0.9])
TARGET = torch.tensor([[0, 0, 1, IGNORE]])
WEIGHT = torch.tensor([1.0, 3.0])


def test_cross_entropy__by_hand():
    terms = [-math.log(0.8), -math.log(0.5), -math.log(0.6)]
    assert CrossEntropy()(LOGITS, TARGET).item() == pytest.approx(sum(terms) / 3)
    weighted = (terms[0] + terms[1] + 3 * terms[2]) / 5
    assert CrossEntropy(WEIGHT)(LOGITS, TARGET).item() == pytest.approx(weighted)


@with_and_without_weights
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy__is_that_of_torch(weight, smoothing):
    logits, target = a_batch()
    theirs = nn.CrossEntropyLoss(weight, ignore_index=IGNORE, label_smoothing=smoothing)
    torch.testing.assert_close(CrossEntropy(weight, smoothing)(logits, target), theirs(logits, target))


def test_focal__by_hand():
    terms = [0.2**2 * -math.log(0.8), 0.5**2 * -math.log(0.5), 0.4**2 * -math.log(0.6)]
    assert Focal()(LOGITS, TARGET).item() == pytest.approx(sum(terms) / 3)
    assert Focal(WEIGHT)(LOGITS, TARGET).item() == pytest.approx((terms[0] + terms[1] + 3 * terms[2]) / 5)


def test_focal__gamma_zero_is_cross_entropy():
    logits, target = a_batch()
    torch.testing.assert_close(Focal(gamma=0.0)(logits, target), CrossEntropy()(logits, target))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal__gradient_is_finite_at_certainty(gamma):
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    Focal(gamma=gamma)(logits, torch.tensor([0])).backward()
    assert logits.grad.isfinite().all()


def test_sigmoid_focal__by_hand():
    # sigmoid(log 4) = 0.8 and sigmoid(0) = 0.5; the target is the first class
    logits = torch.tensor([[math.log(4), 0.0]])
    expected = 0.25 * 0.2**2 * -math.log(0.8) + 0.75 * 0.5**2 * -math.log(0.5)
    assert SigmoidFocal()(logits, torch.tensor([0])).item() == pytest.approx(expected)


def test_mse__by_hand():
    terms = [2 * 0.2**2, 2 * 0.5**2, 2 * 0.4**2]
    assert MSE()(LOGITS, TARGET).item() == pytest.approx(sum(terms) / 3)
    assert MSE(WEIGHT)(LOGITS, TARGET).item() == pytest.approx((terms[0] + terms[1] + 3 * terms[2]) / 5)


def test_tversky__by_hand():
    # class 0: TP 0.8 + 0.5, FP 0.4, FN 0.2 + 0.5; class 1: TP 0.6, FP 0.2 + 0.5, FN 0.4
    first = 1 - 1.3 / (1.3 + 0.3 * 0.4 + 0.7 * 0.7)
    second = 1 - 0.6 / (0.6 + 0.3 * 0.7 + 0.7 * 0.4)
    assert Tversky(smooth=0.0)(LOGITS, TARGET).item() == pytest.approx((first + second) / 2)
    assert Tversky(WEIGHT, smooth=0.0)(LOGITS, TARGET).item() == pytest.approx((first + 3 * second) / 4)


def test_dice__by_hand():
    first, second = 1 - (2.6 + 1) / (2.6 + 0.4 + 0.7 + 1), 1 - (1.2 + 1) / (1.2 + 0.7 + 0.4 + 1)
    assert Dice()(LOGITS, TARGET).item() == pytest.approx((first + second) / 2)


def test_jaccard__by_hand():
    first, second = 1 - (1.3 + 1) / (1.3 + 0.4 + 0.7 + 1), 1 - (0.6 + 1) / (0.6 + 0.7 + 0.4 + 1)
    assert Jaccard()(LOGITS, TARGET).item() == pytest.approx((first + second) / 2)


@pytest.mark.parametrize("name", ["dice", "jaccard", "tversky", "lovasz"])
def test_overlap__absent_class_does_not_count(name):
    logits = logits_of([0.7, 0.2, 0.1], [0.3, 0.5, 0.2])
    target = torch.tensor([[0, 1]])
    low, high = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([1.0, 1.0, 9.0])
    torch.testing.assert_close(LOSSES[name](low)(logits, target), LOSSES[name](high)(logits, target))
    torch.testing.assert_close(LOSSES[name]()(logits, target), LOSSES[name](low)(logits, target))


def test_lovasz__by_hand():
    # class 0: errors 0.5 (true), 0.4 (false), 0.2 (true) cost 1/2, 1/6 and 1/3, since 1 - IoU goes 0, 1/2, 2/3, 1;
    # class 1: errors 0.5 (false), 0.4 (true), 0.2 (false) cost 1/2, 1/2 and 0, since it goes 0, 1/2, 1, 1
    first = 0.5 * 1 / 2 + 0.4 * 1 / 6 + 0.2 * 1 / 3
    second = 0.5 * 1 / 2 + 0.4 * 1 / 2
    assert Lovasz()(LOGITS, TARGET).item() == pytest.approx((first + second) / 2)
    assert Lovasz(WEIGHT)(LOGITS, TARGET).item() == pytest.approx((first + 3 * second) / 4)


def test_lovasz__is_one_minus_iou_on_hard_predictions():
    # the extension equals the set function at the corners of the cube
    truth, guess = torch.tensor([[0, 0, 0, 1, 1]]), torch.tensor([[0, 0, 1, 1, 0]])
    logits = 100.0 * F.one_hot(guess, 2).movedim(-1, 1)
    assert Lovasz()(logits, truth).item() == pytest.approx(((1 - 2 / 4) + (1 - 1 / 3)) / 2)


def test_ohem__by_hand():
    # 0.5 and 0.6 are at most 0.7
    hard = [-math.log(0.5), -math.log(0.6)]
    assert OHEMCrossEntropy(threshold=0.7, min_kept=0.0)(LOGITS, TARGET).item() == pytest.approx(sum(hard) / 2)
    weighted = OHEMCrossEntropy(WEIGHT, threshold=0.7, min_kept=0.0)(LOGITS, TARGET).item()
    assert weighted == pytest.approx((hard[0] + 3 * hard[1]) / 4)


@pytest.mark.parametrize(
    ("min_kept", "kept_probabilities"), [(0.0, [0.5]), (0.3, [0.5]), (0.5, [0.5, 0.6]), (1.0, [0.5, 0.6, 0.8])]
)
def test_ohem__keeps_at_least_a_share_of_the_valid_pixels(min_kept, kept_probabilities):
    loss = OHEMCrossEntropy(threshold=0.01, min_kept=min_kept)(LOGITS, TARGET).item()
    assert loss == pytest.approx(sum(-math.log(p) for p in kept_probabilities) / len(kept_probabilities))


# ---- building -------------------------------------------------------------------------------------------------------


# ---- losses of classes that may overlap -----------------------------------------------------------------------------

LABEL_WEIGHTS = {"plain": None, "weighted": torch.tensor([[0.2, 0.4], [1.0, 5.0], [3.0, 3.0], [0.5, 50.0]])}

every_label_loss = pytest.mark.parametrize("name", MULTILABEL_LOSSES)
with_and_without_label_weights = pytest.mark.parametrize("weight", LABEL_WEIGHTS.values(), ids=LABEL_WEIGHTS)


def a_label_batch(seed=0, size=(2, 6, 5), dtype=torch.uint8):
    """Logits and targets `(N, C, …)` with a third void, by class and pixel."""
    logits, _ = a_batch(seed, size)
    generator = torch.Generator().manual_seed(seed + 1)
    target = torch.randint(2, logits.shape, generator=generator).to(dtype)
    target[torch.rand(logits.shape, generator=generator) < 0.3] = IGNORE
    return logits, target


@every_label_loss
@with_and_without_label_weights
@pytest.mark.parametrize("size", [(2, 6, 5), (7,)], ids=["masks", "labels"])
def test_label_losses__gradient_under_void_is_exactly_zero(name, weight, size):
    logits, target = a_label_batch(size=size)
    build_loss({name: 1.0}, weight, multilabel=True)(logits, target).backward()
    void = target == IGNORE
    assert (logits.grad[void] == 0).all()
    assert logits.grad[~void].abs().sum() > 0


@every_label_loss
def test_label_losses__logits_under_void_do_not_matter(name):
    logits, target = a_label_batch()
    changed = torch.where(target == IGNORE, torch.inf, logits.detach())
    loss = build_loss({name: 1.0}, None, multilabel=True)
    assert torch.equal(loss(changed, target), loss(logits, target))
    assert loss(logits, torch.full_like(target, IGNORE)) == 0


@pytest.mark.parametrize("name", ["bce", "focal"])
@with_and_without_label_weights
def test_label_losses__parts_of_a_step_with_uneven_void_add_up_to_its_gradient(name, weight):
    logits, target = a_label_batch(size=(4, 6, 5))
    target[0], target[1, 0] = IGNORE, IGNORE
    loss = build_loss({name: 1.0}, weight, multilabel=True)
    expected = torch.autograd.grad(loss(logits, target), logits)[0]
    counts = torch.stack([(target == value).sum((0, 2, 3)) for value in (0, 1)], 1) / 4
    parts = [loss(logits[index : index + 1], target[index : index + 1], counts) for index in range(4)]
    gradient = torch.autograd.grad(sum(parts) / 4, logits)[0]
    assert torch.allclose(gradient, expected, atol=1e-7)


def test_bce__is_that_of_torch():
    logits, target = a_label_batch()
    valid = target != IGNORE
    expected = F.binary_cross_entropy_with_logits(logits[valid], target[valid].float())
    assert torch.allclose(BinaryCrossEntropy()(logits, target), expected)
    weight = LABEL_WEIGHTS["weighted"]
    weights = torch.where(target == 1, weight[:, 1, None, None], weight[:, 0, None, None])[valid]
    expected = F.binary_cross_entropy_with_logits(logits[valid], target[valid].float(), weights, reduction="sum")
    assert torch.allclose(BinaryCrossEntropy(weight)(logits, target), expected / weights.sum())


def test_binary_focal__by_hand():
    logits = torch.tensor([[0.8, 0.3]]).logit()
    expected = (0.2**2 * -math.log(0.8) + 0.3**2 * -math.log(0.7)) / 2
    assert BinaryFocal()(logits, torch.tensor([[1, 0]])).item() == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(
        BinaryFocal(gamma=0.0)(logits, torch.tensor([[1, 0]])), BinaryCrossEntropy()(logits, torch.tensor([[1, 0]]))
    )


def test_dice__of_overlapping_classes_by_hand():
    logits = torch.tensor([[[0.9, 0.2, 0.6], [0.5, 0.5, 0.5], [0.1, 0.1, 0.1]]]).logit()
    target = torch.tensor([[[1, 0, IGNORE], [1, 1, 1], [0, 0, 0]]])
    # the second class is all there, beside the first; the third is absent, and left out
    first, second = 1 - (2 * 0.9 + 1) / (1 + 1.1 + 1), 1 - (2 * 1.5 + 1) / (3 + 1.5 + 1)
    loss = build_loss({"dice": 1.0}, None, multilabel=True)
    assert loss(logits, target).item() == pytest.approx((first + second) / 2, rel=1e-5)
    # class weights are those of the negatives
    weighted = build_loss({"dice": 1.0}, torch.tensor([[3.0, 9.0], [1.0, 1.0], [1.0, 1.0]]), multilabel=True)
    assert weighted(logits, target).item() == pytest.approx((3 * first + second) / 4, rel=1e-5)


def test_label_losses__refuse_other_values():
    with pytest.raises(ValueError, match=r"targets \[2\] are neither"):
        BinaryCrossEntropy()(torch.zeros(1, 2), torch.tensor([[0, 2]]))
