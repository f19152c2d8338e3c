"""Images of two groups: the selection, and predictions that match the scores."""

import dataclasses
import re

import numpy as np
import pytest

from lightseg.compare import main
from lightseg.comparison.html import disagreements, predictions
from lightseg.comparison.results import Trial
from lightseg.errors import DataError
from lightseg.runs.read import read
from lightseg.visualization.examples import Example
from tests.inference.models import write_checkpoint


def test_largest__alternates_between_the_sides():
    difference = np.array([0.1, -0.2, 0.5, np.nan, 0.0, 0.3, -0.9])

    assert disagreements.largest(difference) == [2, 6, 5, 1, 0]
    assert disagreements.largest(difference, 3) == [2, 6, 5]
    assert disagreements.largest(np.array([0.1, 0.2])) == [1, 0]


def test_first_trial_scores__are_those_of_the_first_trial(make_comparison):
    comparison = make_comparison()
    first, second = comparison.groups[1].trials
    perfect = dataclasses.replace(second, counts=np.full((4, 3, 3), 100))
    group = dataclasses.replace(comparison.groups[1], trials=(first, perfect))
    scores = disagreements.first_trial_scores(dataclasses.replace(comparison, groups=(comparison.groups[0], group)), 1)

    # 90 of 100 right, and 100 predicted: 90 of 110
    assert scores == pytest.approx([90 / 110] * 4)


@pytest.mark.parametrize(("baseline", "opponent"), [(None, 1), (0, 1), (2, 2)])
def test_opponent__is_the_baseline_or_the_next_best(make_comparison, baseline, opponent):
    assert disagreements.opponent(make_comparison(labels=("a", "b", "c"), baseline=baseline)) == opponent


def test_disagreements__of_equal_groups_there_are_none(make_comparison):
    comparison = make_comparison()
    same = dataclasses.replace(comparison, groups=(comparison.groups[0], comparison.groups[0]))

    assert "No image has another score" in disagreements.disagreements(same)


def test_disagreements__of_whole_images_the_answers_are_words(make_comparison, monkeypatch):
    def say(trial, split, names, images, trust):
        # the group that is always right has found the road, the other has not
        answer = np.array(1 if trial.score == 1 else 0)
        image = np.zeros((4, 4, 3), np.uint8)
        return {index: Example(names[index], image, np.array(1), answer) for index in images}, []

    monkeypatch.setattr(disagreements, "predict_again", say)
    comparison = make_comparison(kind="classification", metric="accuracy")
    html = disagreements.disagreements(comparison)
    answers = [re.sub("<[^>]+>", " ", answer).split() for answer in re.findall(r"<dl>.*?</dl>", html, re.DOTALL)]

    assert re.findall(r"<h3>(.*?)</h3>", html) == list(comparison.images)
    # 100 % against 90 %
    assert html.count("is better by <b>10.0</b>") == 4
    assert answers == [["truth", "road", "big", "road", "✓", "small", "sky", "✗"]] * 4


def test_predict_again__each_fold_is_asked_what_it_was_scored_on(make_run, monkeypatch):
    folds = make_run("one", images=("d", "b", "b")), make_run("two", images=("a", "c"))
    calls = []

    def say(run, split, indices, trust):
        calls.append((run.name, split, indices))
        return [f"{run.evaluation(split).images[index]}{index}" for index in indices], ["red"]

    monkeypatch.setattr(predictions, "_predict", say)
    trial = Trial(folds, np.zeros((5, 3, 3), np.int64), 0.0, np.zeros(3))
    examples, palette = predictions.predict_again(trial, "test", ["a", "b", "b", "c", "d"], [4, 3, 2])

    # the second image of the same name is the second
    assert calls == [("one", "test", [0, 2]), ("two", "test", [1])]
    assert (examples, palette) == ({4: "d0", 2: "b2", 3: "c1"}, ["red"])


def test_compare__the_page_shows_what_each_run_said(fit, recipe, tmp_path, capsys):
    runs = [fit("--config", recipe(), "--model.net.width", width).folder for width in (2, 4)]
    assert main([*map(str, runs), "--html", str(tmp_path / "page.html")]) == 0
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    examples = re.findall(r'<figure class="example">.*?</figure>\s*</div></figure>', html, re.DOTALL)

    assert 1 <= len(examples) <= 5
    for example in examples:
        assert "is better by" in example
        assert re.findall(r'alt="(\w+)', example) == ["image", "truth", "prediction", "prediction"]
        assert re.findall(r"data:image/(\w+)", example) == ["jpeg", "png", "png", "png"]
    evaluation = read(runs[0]).evaluation("test")
    counts = evaluation.dense[[3, 0]]
    trial = Trial((read(runs[0]),), evaluation.dense, 0.0, np.zeros(0))
    examples, palette = predictions.predict_again(trial, "test", evaluation.images, [3, 0])
    assert len(palette) == counts.shape[2]
    for example, (right, true, predicted) in zip((examples[3], examples[0]), counts, strict=True):
        for label in range(counts.shape[2]):
            valid = example.target != 255
            assert true[label] == np.sum(example.target == label)
            assert predicted[label] == np.sum((example.prediction == label) & valid)
            assert right[label] == np.sum((example.prediction == label) & (example.target == label))
    for name in ("best", "last"):
        (runs[0] / "checkpoints" / f"{name}.ckpt").unlink()
    assert main([*map(str, runs), "--html", str(tmp_path / "page.html")]) == 0
    assert f"The images cannot be shown: {runs[0]}: no checkpoint found" in (tmp_path / "page.html").read_text("utf-8")


def test_predict_again__other_data_is_refused(make_run):
    # its record of the data is made up
    run = make_run("one")
    trial = Trial((run,), np.zeros((4, 3, 3), np.int64), 0.0, np.zeros(3))
    write_checkpoint(run.folder / "checkpoints/best.ckpt")

    with pytest.raises(DataError, match="is not any more what runs/one-0 was scored on"):
        predictions.predict_again(trial, "test", ["a.png"], [0])
