"""Page of an explanation: small, self-contained and deterministic, with sums that add up."""

import re

import numpy as np
import pytest
import torch

from lightseg.errors import UserError
from lightseg.explanation import attribution
from lightseg.explanation.deletion import Deletion
from lightseg.explanation.explanation import explain
from lightseg.explanation.gallery import Picture, PictureGroup
from lightseg.explanation.html import document, write_page
from lightseg.explanation.saliency import Saliency
from tests.comparison.html.test_document import Reader
from tests.explanation.fabricate import Data, LabelData, Oracle, discs, label_image, label_task

EVIL = "<script>alert(1)</script>"


def left(truth):
    half = truth[..., : truth.shape[-1] // 2]
    half[half == 1] = 0
    return truth


@pytest.fixture
def make_explanation(monkeypatch):
    """Explain the planted failure; the oracle has no net, so that there are no attributions."""
    monkeypatch.setattr(attribution, "is_installed", lambda: False)

    def make(kind="segmentation"):
        images, masks = discs(30)
        if kind == "classification":
            labels = [at % 3 for at in range(30)]
            predictions = iter([(label + (at % 5 == 0)) % 3 for at, label in enumerate(labels)])
            task = Oracle(kind, [EVIL, "disc", "square"], lambda truth: torch.full_like(truth, next(predictions, 0)))
            return explain(task, Data(images, labels, task.classes), "test", 2)
        task = Oracle(kind, [EVIL, "disc", "square"], left)
        return explain(task, Data(images, masks, task.classes), "test", 2)

    return make


@pytest.fixture
def read_page(tmp_path):
    def read_page(explanation):
        write_page(explanation, EVIL, tmp_path / "page.html")
        return Reader((tmp_path / "page.html").read_text(encoding="utf-8"))

    return read_page


@pytest.mark.parametrize("kind", ["segmentation", "classification"])
def test_page__is_one_file_that_runs_nothing_it_was_told(make_explanation, read_page, tmp_path, kind):
    page = read_page(make_explanation(kind))
    sources = [
        attributes[name] for _, attributes in page.elements for name in ("src", "href", "action") if name in attributes
    ]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]

    assert page.open == []
    assert len(page.all("script")) == 1
    assert EVIL in page.text
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert len([source for source in sources if source.startswith("data:image")]) >= 4
    assert {attributes["href"].removeprefix("#") for attributes in page.all("a")} <= set(ids)
    assert len(ids) == len(set(ids))
    assert (tmp_path / "page.html").stat().st_size < document.MAX_BYTES
    order = ["findings", "parts", "worst", "confusions", "calibration", "looks", "uncertain", "details"]
    assert [attributes["id"] for attributes in page.all("section")] == order


def test_page__the_planted_failure_is_on_top_and_sums_are_those_of_the_matrix(make_explanation, read_page, tmp_path):
    explanation = make_explanation()
    page = read_page(explanation)
    html = (tmp_path / "page.html").read_text()
    first = re.search(r'<ol class="findings">\s*<li><p>(.*?)</p>', html)[1]
    tables = re.findall(r'<table class="sums">.*?</table>', html, re.DOTALL)
    columns = [
        [int(row.replace(",", "")) for row in re.findall(r'</th><td class="number">([\d,]+)</td>', table)]
        for table in tables
    ]

    assert first.startswith("disc: 100.0 % of its pixels in the left half are missed, 0.0 % in the right half")
    wrong = explanation.observations.wrong
    # by part and by size: the rows, and what they are together
    for rows in (columns[0], columns[2]):
        assert sum(rows[:-1]) == rows[-1] == wrong > 0
    assert f"Together {wrong:,}; off the diagonal of the confusion matrix there are {wrong:,}." in page.text
    assert "pip install 'lightseg[explain]'" in page.text


def test_page__tells_what_the_temperature_changes(make_explanation, read_page, monkeypatch):
    monkeypatch.setattr(Oracle, "temperature", 3.0)
    explanation = make_explanation()
    sure, too_sure = explanation.observations.reliability[0], explanation.observations.uncalibrated[0]

    # a logit of 8 over two of 0, and a third of it
    assert sure.confidence.sum() / sure.pixels.sum() == pytest.approx(1 / (1 + 2 * np.exp(-8 / 3)), abs=1e-6)
    assert too_sure.confidence.sum() / too_sure.pixels.sum() == pytest.approx(1 / (1 + 2 * np.exp(-8)), abs=1e-6)
    text = f"{100 * sure.ece:.2f} % with the temperature 3 that was fitted on validation images, "
    assert f"{text}{100 * too_sure.ece:.2f} % without." in read_page(explanation).text


def test_page__is_the_same_but_for_the_date(make_explanation, tmp_path):
    for name in ("a", "b"):
        write_page(make_explanation(), "run", tmp_path / name)
    first, second = (re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", (tmp_path / name).read_text()) for name in "ab")

    assert first == second


def test_page__too_many_pictures_are_smaller(make_explanation, read_page, tmp_path, monkeypatch):
    explanation = make_explanation()
    noise = np.random.default_rng(0).integers(0, 255, (320, 320, 3), np.uint8)
    explanation.worst[:] = [PictureGroup("noise", "", [Picture(noise, "image", photo=True)])] * 20
    read_page(explanation)
    size = (tmp_path / "page.html").stat().st_size
    monkeypatch.setattr(document, "MAX_BYTES", size // 2)
    page = read_page(explanation)

    assert (tmp_path / "page.html").stat().st_size < size // 2
    assert max(int(attributes["width"]) for attributes in page.all("img")) < 320
    monkeypatch.setattr(document, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match="--images"):
        read_page(explanation)


def test_page__tells_whether_maps_are_faithful(make_explanation, read_page):
    explanation = make_explanation()
    good = Deletion(0.9, np.array([0.1, 0.1, 0.0, 0.0]), np.ones(4), np.array([0.9, 0.8, 0.7, 0.5]))
    bad = Deletion(0.9, good.random, np.ones(4), good.random)
    for deletion, verdict in ((good, "The maps are faithful: over 12"), (bad, "The maps are not shown to be faithful")):
        object.__setattr__(explanation, "saliency", Saliency("Grad-CAM at net.down.3", [], [deletion] * 12))
        assert verdict in read_page(explanation).text


@pytest.mark.parametrize("kind", ["segmentation", "classification"])
@pytest.mark.parametrize("classes", [(EVIL, "disc", "square"), (EVIL,)])
def test_page__of_overlapping_classes_has_the_sections_with_a_meaning(read_page, monkeypatch, kind, classes):
    monkeypatch.setattr(attribution, "is_installed", lambda: False)
    _, masks = discs(12)
    targets = [np.stack([mask == label for label in range(len(classes))], -1).astype(np.uint8) for mask in masks]
    # squares are taken for the ground, too
    images = [label_image([target[..., 0] | target[..., -1], *target.transpose(2, 0, 1)[1:]]) for target in targets]
    if kind == "classification":
        targets = [np.array([at % 2, at % 3 == 0, 1], np.uint8)[: len(classes)] for at in range(12)]
        # every third image has its labels in another order
        images = [label_image(target[:: -1 if at % 3 == 0 else 1], (4, 4)) for at, target in enumerate(targets)]
    task = label_task(kind, classes)
    task.temperature = 2.0
    page = read_page(explain(task, LabelData(images, targets, classes), "test", 2))
    order = [attributes["id"] for attributes in page.all("section")]

    assert (page.open, EVIL in page.text) == ([], True)
    alarms = ["alarms"] * (len(classes) > 1)
    assert order == ["findings", "scores", "parts", "worst", *alarms, "calibration", "looks", "uncertain", "details"]
    unit = "images" if kind == "classification" else "valid pixels"
    assert f"labels of {unit} are wrong" in page.text
    assert "in the mean over the classes with the temperature 2 that was fitted on validation images" in page.text
