import pytest

from lightseg.errors import ConfigError
from lightseg.series.grid import points
from lightseg.series.options import parse


def values(*words):
    return parse(["--grid", *words]).runs


def test_grid__every_combination_the_last_key_varies_fastest():
    assert values("model.optimizer.lr=1e-3,3e-3", "model.net.encoder=resnet18,resnet34") == [
        {"model.optimizer.lr": lr, "model.net.encoder": encoder}
        for lr in ("1e-3", "3e-3")
        for encoder in ("resnet18", "resnet34")
    ]
    assert points([]) == [{}]


def test_grid__a_value_may_have_commas_of_its_own():
    assert values("model.loss={ce: 1.0, dice: 1.0},ce, 'a,b' ,[1, 2]") == [
        {"model.loss": value} for value in ("{ce: 1.0, dice: 1.0}", "ce", "'a,b'", "[1, 2]")
    ]


def test_grid__may_be_given_in_parts_and_a_class_may_be_a_value():
    request = parse(["--grid", "model.net=UNet,FCN", "--trainer.max_epochs", "1", "--grid", "data.batch_size=4,8"])
    assert request.arguments == ["--trainer.max_epochs", "1"]
    assert len(request.runs) == 4
    assert request.options(1) == ["--model.net=UNet", "--data.batch_size=8"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lr=1,2"], "--grid: lr: no key of model, data or trainer; did you mean --model.optimizer.lr?"),
        (["modle.net.width=1,2"], "no key of model, data or trainer"),
        (["name=a,b"], "name: no key of model, data or trainer"),
        (["model.net.width"], "model.net.width: give two values or more, as in model.net.width=1,2"),
        (["model.net.width=3"], "for one value write --model.net.width VALUE"),
        (["model.net.width=3,"], "give two values or more"),
        (["model.net.width=3,4,3"], "model.net.width: the value 3 is given twice"),
        # YAML takes 1e-3 for text, which its key takes for a number
        (["model.optimizer.lr=1e-3,0.001"], "model.optimizer.lr: the value 1e-3 is given twice"),
        (["model.net.width=null,~"], "model.net.width: the value null is given twice"),
        (["model.net.width=3,,4"], "model.net.width: 3,,4 is no list of values"),
        (["model.net.width=3,4]"], "model.net.width: 3,4] is no list of values"),
        (["data.root=*.png,b"], "quote what YAML does not take as text"),
        (["model.net.width=" + "[" * 60 + "]" * 60 + ",1"], "nested deeper than 50 levels"),
        (["seed_everything=0,1"], "seed_everything: --seeds varies it; take that"),
        (["data.init_args.fold=0,1"], "--folds varies it"),
        (["trainer.devices=1,2"], "share the machine in the same way; give --trainer.devices for all of them"),
        (["model.net.width=1,2", "model.net.width=3,4"], "--grid model.net.width: is given twice"),
        (
            ["model.net.width=1,2", "--model.init_args.net.width", "3"],
            "give --grid model.net.width or --model.net.width",
        ),
        ([], "--grid: expected at least one argument"),
    ],
)
def test_grid__bad_values(words, message):
    with pytest.raises(ConfigError) as raised:
        values(*words)
    assert message in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
