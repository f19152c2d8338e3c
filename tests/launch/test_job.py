"""Jobs: names, and series on one machine."""

import pytest
import yaml

from lightseg.launch.__main__ import main
from tests.helpers.launched import PRINT_WORDS, validate, words_of


@pytest.mark.parametrize("engine", [("skypilot", "--gpu-type", "H100"), ("kubeflow", "--image", "a")])
def test_series__runs_on_one_machine_elsewhere(engine, render, call, recipe, program):
    program("python", PRINT_WORDS)
    content = yaml.safe_load(render(*engine, "--gpus", 8, arguments=["--seeds", "0,1"]))
    command = content["run"] if engine[0] == "skypilot" else content["spec"]["trainer"]["args"][0]
    assert words_of(command) == ["-m", "lightseg.fit", "--config", str(recipe()), "--seeds", "0,1"]
    code, _, err = call(main, *engine, "--nodes", 2, "--", "--config", recipe(), "--seeds", "0,1")
    assert code == 2
    assert "--nodes: the runs of a series share one machine here" in err


@pytest.mark.parametrize("name", ["Ünet 2", "7", "x" * 150, "-", "A_b.c"])
def test_label__is_a_name_for_kubernetes(name, render):
    validate(render("kubeflow", "--image", "a", "--name", name), "trainjob")
    validate(render("skypilot", "--gpu-type", "H100", "--name", name), "skypilot_task")


def test_series__resumed_stays_where_it_is(call, tmp_path):
    (tmp_path / "plan.json").write_text("{}")
    code, _, err = call(main, "slurm", "--", "--resume", tmp_path)
    assert code == 2
    assert "goes on with a series of one machine; give it to lightseg.fit there" in err
