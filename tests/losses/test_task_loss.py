"""Logit adjustment, delayed class weights, and the state of the task loss."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lightseg.errors import ConfigError
from lightseg.labels import IGNORE
from lightseg.losses.losses import LOSSES
from lightseg.losses.task_loss import TaskLoss
from lightseg.losses.weighted_sum import build_loss

COUNTS = np.array([60, 30, 10])
LOGITS, TARGET = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.3, 0.1]]), torch.tensor([2, 0])


def data(counts=COUNTS):
    return SimpleNamespace(truth_table=lambda: counts[None], class_extents=lambda: np.full(len(counts), counts.sum()))


def followed(*args, counts=COUNTS, net=None, **options):
    loss = TaskLoss(*args, **options)
    loss.configure_from_data(data(counts), "classification", net or nn.Identity())
    return loss


def test_mixture__is_the_sum_of_both_classes_by_hand():
    loss = TaskLoss({"ce": {"weight": 1.0, "label_smoothing": 0.1}}, 3, weighting=[1.0, 2.0, 4.0])
    partner, share, weights = torch.tensor([0, 2]), torch.tensor([0.75, 0.75]), [1.0, 2.0, 4.0]
    total = 0.0
    for row, (label, other) in enumerate([(2, 0), (0, 2)]):
        log_sum = math.log(sum(math.exp(logit) for logit in LOGITS[row].tolist()))
        surprise = [weight * (log_sum - logit) for weight, logit in zip(weights, LOGITS[row].tolist(), strict=True)]
        # the soft target of both classes, of which a tenth is spread evenly
        target = [0.1 / 3 + 0.9 * (0.75 * (label == c) + 0.25 * (other == c)) for c in range(3)]
        total += sum(share * value for share, value in zip(target, surprise, strict=True))
    counts = torch.tensor([1.0, 0.0, 1.0])
    value = loss.in_training(LOGITS, TARGET, 0.0, counts, partner, share)
    assert value.item() == pytest.approx(total / (1.0 + 4.0))


@pytest.mark.parametrize("name", ["ce", "focal", "sigmoid_focal", "mse"])
def test_mixture__of_an_image_with_itself_is_the_image(name):
    loss, counts = TaskLoss({name: 1.0}, 3), torch.tensor([1.0, 0.0, 1.0])
    value = loss.in_training(LOGITS, TARGET, 0.0, counts, TARGET, torch.tensor([0.3, 0.9]))
    torch.testing.assert_close(value, loss.in_training(LOGITS, TARGET, 0.0, counts))


def test_mixture__of_losses_without_a_meaning_is_refused():
    for name in LOSSES.keys() - {"ce", "focal", "sigmoid_focal", "mse"}:
        with pytest.raises(ConfigError, match=f"data.mixup and data.cutmix: {name} has no meaning for an image"):
            TaskLoss({"ce": 1.0, name: 0.5}, 3).check_mixing()


def test_logit_adjustment__with_ce_is_the_balanced_softmax_by_hand():
    loss = followed({"ce": 1.0}, 3, logit_adjustment=1.0)
    terms = []
    for logits, label in zip(LOGITS.tolist(), TARGET.tolist(), strict=True):
        scaled = [count * math.exp(logit) for count, logit in zip(COUNTS, logits, strict=True)]
        terms.append(-math.log(scaled[label] / sum(scaled)))
    assert loss.in_training(LOGITS, TARGET, 0.0).item() == pytest.approx(sum(terms) / 2)


def test_logit_adjustment__tau_is_the_power_of_the_prior():
    loss = followed({"ce": 1.0}, 3, logit_adjustment=0.5)
    scaled = [math.sqrt(count) * math.exp(logit) for count, logit in zip(COUNTS, LOGITS[0].tolist(), strict=True)]
    expected = -math.log(scaled[2] / sum(scaled))
    assert loss.in_training(LOGITS[:1], TARGET[:1], 0.0).item() == pytest.approx(expected)


def test_logit_adjustment__is_for_training_only():
    loss = followed({"ce": 1.0}, 3, logit_adjustment=1.0)
    assert loss(LOGITS, TARGET).item() == build_loss({"ce": 1.0}, None)(LOGITS, TARGET).item()


def test_logit_adjustment__of_pixels_and_images_agrees():
    loss = followed({"ce": 1.0, "dice": 0.5}, 3, logit_adjustment=1.0)
    image = LOGITS.T.reshape(1, 3, 1, 2)
    values = loss.in_training(image, TARGET.reshape(1, 1, 2), 0.0)
    torch.testing.assert_close(values, loss.in_training(LOGITS, TARGET, 0.0))


def test_logit_adjustment__is_exact_in_half_precision():
    loss = followed({"ce": 1.0}, 3, logit_adjustment=1.0)
    half = LOGITS.bfloat16()
    assert loss.in_training(half, TARGET, 0.0).item() == loss.in_training(half.float(), TARGET, 0.0).item()


@pytest.mark.parametrize("name", LOSSES)
def test_logit_adjustment__changes_every_loss_or_is_refused(name):
    try:
        loss = followed({name: 1.0}, 3, logit_adjustment=1.0)
    except ConfigError:
        assert name == "sigmoid_focal"
    else:
        assert abs(loss.in_training(LOGITS, TARGET, 0.0) - loss(LOGITS, TARGET)) > 1e-3


def test_logit_adjustment__a_class_that_never_occurs_is_as_rare_as_the_rarest():
    loss = followed({"ce": 1.0}, 3, counts=np.array([9, 0, 1]), logit_adjustment=1.0)
    same = followed({"ce": 1.0}, 3, counts=np.array([9, 1, 1]), logit_adjustment=1.0)
    assert loss.in_training(LOGITS, TARGET, 0.0).item() == same.in_training(LOGITS, TARGET, 0.0).item()


def test_logit_adjustment__void_has_no_say():
    loss = followed({"ce": 1.0}, 3, logit_adjustment=1.0)
    logits = LOGITS.clone().requires_grad_()
    loss.in_training(logits, torch.tensor([2, IGNORE]), 0.0).backward()
    assert (logits.grad[1] == 0).all()
    assert logits.grad[0].abs().sum() > 0


def test_logit_adjustment__half_and_square_root_weights_make_the_rare_equal():
    # the constant prediction that is best in training: all classes alike
    loss = followed({"ce": 1.0}, 3, weighting="sqrt_inverse", logit_adjustment=0.5)
    target = torch.arange(3).repeat_interleave(torch.from_numpy(COUNTS))
    logits = torch.zeros(3, requires_grad=True)
    loss.in_training(logits.expand(len(target), 3), target, 0.0).backward()
    assert logits.grad.abs().max() < 1e-6


def test_class_weights__wait_until_their_share_of_the_training():
    spec, weights = {"ce": 1.0}, [0.2, 1.0, 4.0]
    loss = followed(spec, 3, weights, weights_from=0.8)
    plain, weighted = build_loss(spec, None)(LOGITS, TARGET), build_loss(spec, torch.tensor(weights))(LOGITS, TARGET)
    assert plain != weighted
    values = [loss.in_training(LOGITS, TARGET, step / 10) for step in range(10)]
    assert values == [plain] * 8 + [weighted] * 2


def test_class_weights__count_in_evaluation_throughout():
    weights = [0.2, 1.0, 4.0]
    loss = followed({"ce": 1.0}, 3, weights, weights_from=0.8)
    assert loss(LOGITS, TARGET).item() == build_loss({"ce": 1.0}, torch.tensor(weights))(LOGITS, TARGET).item()


def test_follow__a_scheme_becomes_numbers():
    loss = followed({"ce": 1.0}, 3, "inverse")
    # 1/60, 1/30 and 1/10, over their mean 1/20
    assert loss.resolved["class_weights"] == pytest.approx([1 / 3, 2 / 3, 2])
    assert loss(LOGITS, TARGET) != build_loss({"ce": 1.0}, None)(LOGITS, TARGET)


def test_follow__evaluation_of_a_trained_task_counts_nothing():
    loss = TaskLoss({"ce": 1.0}, 3, [0.2, 1.0, 4.0], 0.5, 1.0)
    # no truth_table
    loss.configure_from_data(SimpleNamespace(), "segmentation", None)
    assert loss(LOGITS, TARGET) > 0


def test_state__is_not_saved():
    assert followed({"ce": 1.0}, 3, "inverse", logit_adjustment=1.0).state_dict() == {}


@pytest.mark.parametrize("options", [{"weighting": "inverse"}, {"logit_adjustment": 1.0}, {"prior_bias": True}])
def test_in_training__what_needs_counts_is_not_ignored_without_them(options):
    with pytest.raises(ConfigError, match="need class counts: train with an ImageDataModule"):
        TaskLoss({"ce": 1.0}, 3, **options).in_training(LOGITS, TARGET, 0.0)


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ({"ce": 1.0, "sigmoid_focal": 1.0}, {"logit_adjustment": 1.0}, "sigmoid_focal has no softmax to adjust"),
        ({"ce": 1.0}, {"logit_adjustment": -1.0}, r"model\.logit_adjustment: must be 0 or more .*, got -1.0"),
        ({"ce": 1.0}, {"logit_adjustment": math.nan}, r"model\.logit_adjustment: must be 0 or more .*, got nan"),
        ({"ce": 1.0}, {"logit_adjustment": 1.0, "prior_bias": True}, r"model\.prior_bias: with model\.logit_adj"),
        ({"ce": 1.0}, {"weights_from": 0.5}, r"model\.class_weights_from: there are no weights to wait for"),
        ({"ce": 1.0}, {"weights_from": 1.0, "weighting": "inverse"}, r"class_weights_from: 1.0 leaves .* no part"),
        ({"ce": 1.0}, {"weights_from": -0.1, "weighting": "inverse"}, r"class_weights_from: -0.1 leaves"),
        ({"ce": 1.0}, {"weighting": [1.0, 2.0]}, "2 class weights for 3 classes"),
    ],
)
def test_options__what_cannot_act_is_refused(spec, options, message):
    with pytest.raises(ConfigError, match=message) as error:
        TaskLoss(spec, 3, **options)
    assert "\n" not in str(error.value)
