"""Settings of a search, and the message about each mistake in them."""

import pytest

from lightseg.errors import ConfigError
from lightseg.search.study import Study, read_study

SPACE = "space: {model.optimizer.lr: {low: 1e-4, high: 1e-2, log: true}}\n"


@pytest.fixture
def study(tmp_path):
    def read(text, objective=None):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return read_study(path, objective)

    return read


def test_study__defaults(study):
    space = {"model.optimizer.lr": {"low": "1e-4", "high": "1e-2", "log": True}}
    assert study(f"{SPACE}trials: 20") == Study(
        space=space,
        trials=20,
        sampler="tpe",
        pruner=None,
        objective=["score"],
        winner_seeds=3,
        storage="sqlite",
        seed=0,
    )


def test_study__objective_of_the_command_line_replaces_that_of_the_file(study):
    text = f"{SPACE}trials: 2\nobjective: [score, flops]"
    assert study(text).objective == ["score", "flops"]
    assert study(text, "score, parameters").objective == ["score", "parameters"]


@pytest.mark.parametrize(
    ("text", "objective", "message"),
    [
        ("trails: 3", None, "study.yaml: no option 'trails'; did you mean trials?"),
        ("trials: 3", None, "study.yaml: space: is missing; give keys with their values"),
        (SPACE, None, "study.yaml: trials: is missing; give the number of trials, as in trials: 20"),
        (f"{SPACE}trials: 0", None, "study.yaml: trials: Input should be greater than or equal to 1, got 0"),
        (f"{SPACE}trials: 3\nsampler: tpee", None, "study.yaml: sampler: Input should be 'tpe', 'random' or 'nsga2'"),
        (f"{SPACE}trials: 3\nobjective: [flops]", None, "study.yaml: objective: give score first"),
        (f"{SPACE}trials: 3", "score,score", "--objective score,score: give score first, and each name once"),
        (
            f"{SPACE}trials: 3",
            "score,flop",
            "--objective score,flop: Input should be 'score', 'flops', 'parameters' or 'latency'",
        ),
        (
            f"{SPACE}trials: 3\npruner: median",
            "score,flops",
            "study.yaml: pruner: works with the objective score",
        ),
    ],
)
def test_study__mistake(study, text, objective, message):
    with pytest.raises(ConfigError) as caught:
        study(text, objective)
    assert message in str(caught.value)


def test_study__missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"--study .*none.yaml: no such file"):
        read_study(tmp_path / "none.yaml", None)
