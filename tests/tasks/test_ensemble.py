"""Ensembles of trained tasks: the mean of the members' probabilities, in every protocol, and who fits whom."""

import numpy as np
import pytest
import torch

import lightseg
from lightseg.errors import ConfigError, UserError
from lightseg.tasks import Ensemble
from lightseg.tasks.ensemble import make_ensemble
from tests.inference.models import write_checkpoint

IMAGE = np.random.default_rng(0).integers(0, 256, (37, 61, 3), np.uint8)
RESIZE = [{"class_path": "albumentations.Resize", "init_args": {"height": 24, "width": 48}}]


@pytest.fixture
def members(tmp_path):
    """Write two nets of different sizes, one of them with a temperature."""
    files = [write_checkpoint(tmp_path / f"{width}.ckpt", width=width) for width in (4, 6)]
    content = torch.load(files[1], weights_only=True)
    torch.save({**content, "temperature": 3.0}, files[1])
    return files


def mean_of(files, image=IMAGE, **options):
    return np.mean([lightseg.load(file).predict(image, details=True, **options).probabilities for file in files], 0)


@pytest.mark.parametrize("options", [{}, {"window": 16}, {"tta": "flip,scale"}, {"window": 24, "tta": "flip"}])
def test_predict__mean_of_the_members(members, options):
    result = lightseg.load(members).predict(IMAGE, details=True, **options)
    expected = mean_of(members, **options)
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)
    np.testing.assert_array_equal(result.classes, result.probabilities.argmax(0))
    assert not np.allclose(expected, lightseg.load(members[0]).predict(IMAGE, details=True).probabilities, atol=0.01)


@pytest.mark.parametrize("options", [{}, {"window": 16, "overlap": 0.5}])
def test_predict__members_transform_images_by_themselves(tmp_path, members, options):
    files = [*members, write_checkpoint(tmp_path / "resized.ckpt", eval_transforms=RESIZE, width=5)]
    ensemble = lightseg.load(files)
    assert not ensemble.shares_transforms
    np.testing.assert_allclose(
        ensemble.predict(IMAGE, details=True, **options).probabilities, mean_of(files, **options), atol=1e-6
    )
    image = torch.from_numpy(IMAGE).permute(2, 0, 1)[None]
    batch = {"image": image, "target": torch.zeros(1, *IMAGE.shape[:2], dtype=torch.int64), "index": torch.zeros(1)}
    with torch.inference_mode():
        probabilities = ensemble.logits_at_target(batch)[0].softmax(0)
    np.testing.assert_allclose(probabilities, mean_of(files), atol=1e-6)


def test_logits__a_member_may_transform_floats_to_bytes(tmp_path, members):
    to_bytes = [{"class_path": "albumentations.FromFloat", "init_args": {"dtype": "uint8"}}]
    files = [*members, write_checkpoint(tmp_path / "bytes.ckpt", eval_transforms=to_bytes, width=5)]
    image = np.float32(IMAGE / 255)
    batch = {"image": torch.from_numpy(image).permute(2, 0, 1)[None], "index": torch.zeros(1)}
    batch["target"] = torch.zeros(1, *IMAGE.shape[:2], dtype=torch.int64)
    ensemble = lightseg.load(files, trust=True)
    with torch.inference_mode():
        probabilities = ensemble.logits_at_target(batch)[0].softmax(0)
    expected = np.mean([member.predict(image, details=True).probabilities for member in ensemble.members], 0)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_predict__equal_transforms_are_applied_once(tmp_path):
    files = [write_checkpoint(tmp_path / f"{width}.ckpt", eval_transforms=RESIZE, width=width) for width in (4, 5)]
    ensemble = lightseg.load(files)
    assert ensemble.shares_transforms
    np.testing.assert_allclose(ensemble.predict(IMAGE, details=True).probabilities, mean_of(files), atol=1e-6)


def test_predict__classification(tmp_path):
    files = [
        write_checkpoint(tmp_path / f"{number}.ckpt", "ClassificationTask", "lightseg.nets.SimpleCNN")
        for number in (1, 2)
    ]
    content = torch.load(files[1], weights_only=True)
    torch.save({**content, "state_dict": {name: -value for name, value in content["state_dict"].items()}}, files[1])
    result = lightseg.load("+".join(map(str, files))).predict(IMAGE[:32, :32], details=True)
    np.testing.assert_allclose(result.probabilities, mean_of(files, image=IMAGE[:32, :32]), atol=1e-6)
    assert result.classes == result.probabilities.argmax()


def test_predict__classes_that_overlap(tmp_path):
    files = [
        write_checkpoint(tmp_path / f"{width}.ckpt", "MultilabelSegmentationTask", width=width) for width in (4, 6)
    ]
    for file, thresholds in zip(files, ([0.25, 0.5, 0.5], [0.75, 0.5, 0.25]), strict=True):
        content = torch.load(file, weights_only=True)
        content["lightseg"]["resolved"]["thresholds"] = thresholds
        torch.save(content, file)
    ensemble = lightseg.load(files)
    assert ensemble.thresholds.tolist() == [0.5, 0.5, 0.375]
    tasks = [lightseg.load(file) for file in files]
    tasks[1].temperature = 2.0
    # as probabilities at the temperature of the second, whose thresholds are of other odds: the root of 3, and of 1/3
    calibrated = make_ensemble(tasks, ["a", "b"])
    expected = [(0.25 + 3**0.5 / (1 + 3**0.5)) / 2, 0.5, (0.5 + 1 / (1 + 3**0.5)) / 2]
    assert calibrated.thresholds.tolist() == pytest.approx(expected, abs=0.5 / 1024)
    for options in ({}, {"tta": "flip"}):
        result = ensemble.predict(IMAGE, details=True, **options)
        np.testing.assert_allclose(result.probabilities, mean_of(files, **options), atol=1e-6)
        np.testing.assert_array_equal(
            result.classes, result.probabilities >= np.array([0.5, 0.5, 0.375])[:, None, None]
        )


def test_forward__mean_of_the_members_with_gradients(members):
    ensemble = lightseg.load(members)
    image = torch.from_numpy(IMAGE).permute(2, 0, 1)[None].float().div(255).requires_grad_()
    logits = ensemble(image)
    np.testing.assert_allclose(logits[0].softmax(0).detach(), mean_of(members), atol=1e-6)
    logits[0, 0].mean().backward()
    assert image.grad.abs().max() > 0


def test_memory_format__is_that_of_each_member(members):
    alone, ensemble = lightseg.load(members[0]), lightseg.load(members)
    for name, value in alone.net.state_dict().items():
        assert value.stride() == ensemble.members[0].net.state_dict()[name].stride()


def test_load__one_file_is_no_ensemble(members):
    assert not isinstance(lightseg.load(members[:1]), Ensemble)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"classes": 4},
            "other.ckpt: classes [class 0, class 1, class 2, class 3], but [class 0, class 1, class 2] in",
        ),
        ({"channels": 4}, "other.ckpt: channels 4, but 3 in"),
        (
            {"task": "ClassificationTask", "net": "lightseg.nets.SimpleCNN"},
            "other.ckpt: kind classification, but segmentation in",
        ),
        ({"task": "MultilabelSegmentationTask"}, "other.ckpt: kind multi-label segmentation, but segmentation in"),
    ],
)
def test_load__members_that_differ_are_refused(tmp_path, members, options, message):
    other = write_checkpoint(tmp_path / "other.ckpt", **options)
    with pytest.raises(ConfigError) as error:
        lightseg.load([members[0], other])
    assert message in str(error.value)
    assert str(error.value).endswith("4.ckpt; leave one of them out")


def test_load__a_member_named_twice_is_refused(members):
    with pytest.raises(UserError, match="names .*4.ckpt twice; an ensemble counts each model once"):
        lightseg.load(f"{members[0]}+{members[0]}")
