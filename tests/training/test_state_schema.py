"""Damaged states of a training are one line, and nothing has been changed."""

import copy

import pytest
import torch

from lightseg.errors import UserError
from lightseg.training.resume import newest_checkpoint
from tests.helpers.sparse import write_sparse


@pytest.fixture(scope="module")
def state():
    """Keeps the state of the first run for all damages."""
    return {}


@pytest.fixture
def stopped(state, fit, crashing_recipe, monkeypatch, tmp_path):
    """A folder with the last state of a crashed run alone, and its content."""
    if not state:
        monkeypatch.setenv("CRASH", "on_train_batch_end:7")
        folder = fit("--config", crashing_recipe).folder
        state.update(torch.load(folder / "checkpoints/last.ckpt", weights_only=True))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path, copy.deepcopy(state)


DAMAGES = {
    "step": (lambda state: state.update(global_step="x"), "global_step: Input should be a valid integer, got 'x'"),
    "callbacks": (lambda state: state.update(callbacks=[]), "callbacks: "),
    "best": (lambda state: state["callbacks"].update(Best=5), "callbacks.Best: "),
    "best score": (
        lambda state: state["callbacks"]["Best"].update(best_model_score=torch.zeros(2)),
        "callbacks.Best.best_model_score",
    ),
    "another callback": (lambda state: state["callbacks"].update(EMA=[]), "callbacks.EMA: "),
    "loops": (lambda state: state.update(loops={}), "loops.fit_loop: Field required"),
    "loops null": (lambda state: state.update(loops=None), "loops: "),
    "optimizer": (lambda state: state.pop("optimizer_states"), "optimizer_states: Field required"),
    "version": (lambda state: state.update({"pytorch-lightning_version": 5}), "pytorch-lightning_version: "),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_newest_checkpoint__damaged_state(stopped, name):
    folder, content = stopped
    torch.save(content, folder / "checkpoints/last.ckpt")
    assert newest_checkpoint(folder)[1]["global_step"] == content["global_step"]
    damage, message = DAMAGES[name]
    damage(content)
    torch.save(content, folder / "checkpoints/last.ckpt")
    with pytest.raises(UserError) as raised:
        newest_checkpoint(folder)
    assert f"last.ckpt: is damaged ({message}" in str(raised.value)


def _make_folder(path):
    path.mkdir()


def _make_link(path):
    path.symlink_to(path.with_name("nothing"))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("metrics.jsonl", write_sparse, "it is longer than"),
        ("confusion_val.csv", _make_folder, "is not a regular file"),
        ("resumes.jsonl", _make_link, "is a link"),
        ("images", lambda path: path.touch(), "is not a folder"),
    ],
)
def test_resume__damaged_folder(fit, crashing_recipe, monkeypatch, name, damage, message):
    monkeypatch.setenv("CRASH", "on_train_batch_end:7")
    folder = fit("--config", crashing_recipe).folder
    command = (folder / "command.txt").read_bytes()
    damage(folder / name)
    outcome = fit("--resume", folder)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert (folder / "command.txt").read_bytes() == command
