"""Settings that do not depend on the kind of task."""

import pytest

from lightseg.scaffold.choices import choose
from lightseg.scaffold.settings import Machine
from tests.scaffold.facts import CPU, reasons, settings, survey


@pytest.mark.parametrize(
    ("train", "memory", "batch", "reason"),
    [(13, 16, 2, "the number of images"), (1, 16, 1, "the number of images"), (100, 0.5, 2, "memory")],
)
def test_choose__batch_size(train, memory, batch, reason):
    choices = choose(survey(train=train), Machine(False, int(memory * 2**30)))
    assert settings(choices)["batch_size"] == batch
    assert f"limited by {reason}" in reasons(choices)["batch_size"]


@pytest.mark.parametrize(("train", "epochs"), [(100, 125), (8, 200), (10**6, 10)])
def test_choose__epochs_make_a_training_of_common_length(train, epochs):
    assert settings(choose(survey(train=train), CPU))["max_epochs"] == epochs


def test_choose__answers_win_and_groups_are_suggested():
    choices = choose(survey(options={"root": "x", "batch_size": 3}, group="([^/]+)_[0-9]+"), CPU)
    assert [item.key for item in choices.data].count("batch_size") == 1
    assert settings(choices)["batch_size"] == 3
    (group,) = [item for item in choices.data if item.key == "group"]
    assert not group.is_active
