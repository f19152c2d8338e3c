"""Transfer of weights, by hand."""

import pytest
import torch

from lightseg.errors import ConfigError
from lightseg.tasks.transfer import Origin, Target, transfer


def _origin(classes=("road", "car"), in_channels=3, **state):
    state = state or {
        "conv.weight": torch.arange(6.0).reshape(2, 3, 1, 1),
        "conv.bias": torch.tensor([7.0, 8.0]),
        "head.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        "head.bias": torch.tensor([5.0, 6.0]),
    }
    return Origin("best.ckpt", "MyNet", state, list(classes), in_channels)


def _net(classes, in_channels=3):
    state = {
        "conv.weight": torch.full((2, in_channels, 1, 1), -1.0),
        "conv.bias": torch.full((2,), -1.0),
        "head.weight": torch.full((len(classes), 2), -1.0),
        "head.bias": torch.full((len(classes),), -1.0),
    }
    return state, Target(list(classes), in_channels, {"head.weight", "head.bias"})


@pytest.mark.parametrize(
    ("classes", "weight", "bias"),
    [
        (["road", "car"], [[1, 2], [3, 4]], [5, 6]),
        (["car", "road"], [[3, 4], [1, 2]], [6, 5]),
        (["car"], [[3, 4]], [6]),
        (["tree", "car", "sky", "road"], [[-1, -1], [3, 4], [-1, -1], [1, 2]], [-1, 6, -1, 5]),
        (["car", "tree"], [[3, 4], [-1, -1]], [6, -1]),
        (["tree", "sky"], [[-1, -1], [-1, -1]], [-1, -1]),
    ],
    ids=["same", "permuted", "fewer", "more", "exchanged", "other"],
)
def test_transfer__rows_by_the_names_of_classes(classes, weight, bias):
    state, target = _net(classes)
    new_state, _ = transfer(state, target, _origin())
    assert new_state["head.weight"].tolist() == weight
    assert new_state["head.bias"].tolist() == bias
    assert new_state["conv.weight"].flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert new_state["conv.bias"].tolist() == [7, 8]
    assert state["head.bias"].unique().tolist() == [-1]


def test_transfer__as_many_classes_as_another_layer_has_outputs():
    # a layer of two outputs, as many as there are classes, is not permuted with them
    state, target = _net(["car", "road"])
    new_state, report = transfer(state, target, _origin())
    assert new_state["conv.bias"].tolist() == [7, 8]
    assert report.by_class == ["head.weight", "head.bias"]


@pytest.mark.parametrize(
    ("channels", "weight"),
    [
        (1, [3, 12]),
        # the first channel comes again, times three quarters
        (4, [0, 0.75, 1.5, 0, 2.25, 3, 3.75, 2.25]),
    ],
)
def test_transfer__other_channels(channels, weight):
    state, target = _net(["road", "car"], channels)
    new_state, report = transfer(state, target, _origin())
    assert new_state["conv.weight"].shape == (2, channels, 1, 1)
    assert new_state["conv.weight"].flatten().tolist() == weight
    assert report.adapted == ["conv.weight"]
    assert new_state["conv.bias"].tolist() == [7, 8]


def test_transfer__bias_free_heads():
    origin = _origin()
    state, target = _net(["car", "tree"])
    del state["head.bias"]
    new_state, report = transfer(state, target, origin)
    assert new_state["head.weight"].tolist() == [[3, 4], [-1, -1]]
    assert report.left == ["head.bias"]

    without = origin._replace(state={name: value for name, value in origin.state.items() if name != "head.bias"})
    new_state, report = transfer(_net(["car", "tree"])[0], target, without)
    assert new_state["head.weight"].tolist() == [[3, 4], [-1, -1]]
    assert new_state["head.bias"].tolist() == [-1, -1]
    assert report.new == ["head.bias"]


def test_transfer__a_bias_comes_with_its_weight():
    state, target = _net(["road", "car"])
    state["conv.weight"] = torch.full((2, 3, 3, 3), -1.0)
    new_state, report = transfer(state, target, _origin())
    assert new_state["conv.bias"].tolist() == [-1, -1]
    assert report.new == report.left == ["conv.weight", "conv.bias"]


def test_transfer__integers_stay_and_types_follow_the_net():
    origin = _origin(**{"conv.weight": torch.ones(2, 3, 1, 1, dtype=torch.float64), "index": torch.tensor([99])})
    state, target = {"conv.weight": torch.zeros(2, 3, 1, 1), "index": torch.tensor([1])}, Target(["road", "car"], 3)
    new_state, report = transfer(state, target, origin)
    assert new_state["index"].tolist() == [1]
    assert new_state["conv.weight"].dtype == torch.float32
    assert str(report) == "init: 1 of 1 tensors from best.ckpt"


def test_transfer__report_in_one_line():
    state, target = _net(["tree", "car"], 4)
    origin = _origin()
    origin.state["aux\n.weight"] = torch.zeros(1)
    state["norm.weight"] = torch.zeros(2)
    _, report = transfer(state, target, origin)
    assert str(report) == (
        "init: 4 of 5 tensors from best.ckpt; 3 -> 4 channels: conv.weight; by class: head.weight, head.bias; "
        "classes taken: car; classes new: tree; classes left: road; new: norm.weight; left: aux .weight"
    )


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {"conv.weight": torch.zeros(9, 3, 1, 1), "conv.bias": torch.zeros(2)},
            r"conv.weight has the shape \(9, 3, 1, 1\) in the file and \(2, 3, 1, 1\) here",
        ),
        ({"stem.weight": torch.zeros(2, 3, 1, 1)}, "the names differ, stem.weight in the file and conv.weight here"),
        ({}, "the names differ"),
    ],
    ids=["shapes", "names", "empty"],
)
def test_transfer__nothing_fits(state, message):
    net, target = _net(["road", "car"])
    with pytest.raises(ConfigError, match=f"no weight of the MyNet in best.ckpt fits this net: {message}"):
        transfer(net, target, _origin()._replace(state=state))
