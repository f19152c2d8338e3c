import pytest

from lightseg.cli.find_option import split_find
from lightseg.errors import ConfigError


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (["--find", "lr"], ["lr"]),
        (["--find=batch_size"], ["batch_size"]),
        # the rate is that of the batch, whatever the order
        (["--find", "lr, batch_size"], ["batch_size", "lr"]),
        ([], []),
    ],
)
def test_split__names_and_the_rest(args, names):
    assert split_find(["--config", "a.yaml", *args, "--name", "x"]) == (names, ["--config", "a.yaml", "--name", "x"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--find", "batchsize"], "--find: no setting 'batchsize' to find; did you mean batch_size?"),
        (["--find"], "--find: no setting '' to find; there are batch_size, lr"),
        (["--find", "lr,lr"], "--find lr,lr: give each name once"),
        (["--find", "lr", "--find", "batch_size"], "--find: is given 2 times; give all names at once"),
        (["--find", "lr", "--resume", "runs/a"], "--find: --resume keeps the values of the run; leave --find out"),
        (
            ["--find=lr", "--model.init_args.optimizer.init_args.lr=1"],
            "give --find lr or --model.optimizer.lr, not both",
        ),
    ],
)
def test_split__names_what_is_wrong(args, message):
    with pytest.raises(ConfigError, match=message.replace("?", "[?]")):
        split_find(args)
