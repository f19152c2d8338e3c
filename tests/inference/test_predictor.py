"""Predictions of a task: forms of images, equality with an evaluation, windows, temperature, resizing."""

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image

import lightseg
from lightseg.data.data_module import ImageDataModule
from lightseg.data.dataset import ImageDataset
from lightseg.errors import ConfigError, DataError
from lightseg.inference.inference_config import InferenceConfig
from lightseg.inference.predictor import Prediction
from tests.inference.models import write_checkpoint

IMAGE = np.random.default_rng(0).integers(0, 256, (37, 61, 3), np.uint8)
RESIZE = [{"class_path": "albumentations.Resize", "init_args": {"height": 24, "width": 48}}]


@pytest.fixture
def task(tmp_path):
    return lightseg.load(write_checkpoint(tmp_path / "x.ckpt"))


class ImageList(ImageDataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], np.zeros(self.images[index].shape[:2], np.uint8)

    def name(self, index):
        return str(index)

    def fingerprint(self):
        return "images"


class ImageListData(ImageDataModule):
    classes = ("class 0", "class 1", "class 2")
    images = (IMAGE,)

    def make_dataset(self, split):
        return ImageList(self.images)


class MixedSizes(ImageListData):
    images = tuple(
        np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        for height, width in ((61, 45), (37, 80), (61, 45), (20, 20), (61, 45), (37, 80))
    )


def test_predict__image_in_any_form(task, tmp_path):
    with torch.inference_mode():
        expected = task(torch.from_numpy(IMAGE.transpose(2, 0, 1).copy())[None])[0]
    Image.fromarray(IMAGE).save(tmp_path / "x.png")
    tensor = torch.from_numpy(IMAGE).permute(2, 0, 1)
    forms = [IMAGE, Image.fromarray(IMAGE), tensor, tmp_path / "x.png", str(tmp_path / "x.png")]
    for image in (*forms, tensor.float() / 255, tensor.double() / 255):
        classes = task.predict(image)
        assert classes.dtype == np.uint8
        assert np.array_equal(classes, expected.argmax(0).numpy())
        assert np.array_equal(task.predict(image, details=True).logits, expected.numpy())


def test_predict__tensor_of_a_type_without_numpy_equivalent(task):
    image = (torch.from_numpy(IMAGE).permute(2, 0, 1) / 255).bfloat16()
    assert np.array_equal(task.predict(image), task.predict(image.float()))


def test_predict__gray_is_repeated(task):
    gray = IMAGE[..., 0]
    expected = task.predict(np.repeat(gray[..., None], 3, 2))
    for image in (gray, gray[..., None], Image.fromarray(gray), torch.from_numpy(gray)[None]):
        assert np.array_equal(task.predict(image), expected)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 3, 3, 3), np.uint8), "has the shape"),
        (np.zeros((0, 3, 3), np.uint8), "has the shape"),
        (torch.zeros(4, 4), "as a tensor it is"),
        (np.zeros((8, 8, 5), np.uint8), "has 5 channels, but the net takes 3"),
        (np.full((8, 8, 3), 2.0), "scale floating-point images to 0..1"),
        ([[1]], "not a list"),
        ("nowhere.png", "does not exist"),
    ],
)
def test_predict__invalid_image(task, image, message):
    with pytest.raises(DataError, match=message):
        task.predict(image)


@pytest.mark.parametrize("transforms", [None, RESIZE])
@pytest.mark.parametrize(
    "options", [{}, {"window": 32}, {"tta": "flip,scale"}, {"window": 24, "overlap": 0.5, "tta": "flip"}], ids=str
)
def test_predict__equals_an_evaluation(tmp_path, transforms, options):
    from albumentations import Resize

    task = lightseg.load(write_checkpoint(tmp_path / "x.ckpt", eval_transforms=transforms))
    data = ImageListData(eval_transforms=[Resize(24, 48)] if transforms else None)
    task.protocol = InferenceConfig.of(**options)
    with torch.inference_mode():
        expected = task.logits_at_target(data.eval_batch(0, "val"))[0]
    assert np.array_equal(task.predict(IMAGE, **options, details=True).logits, expected.numpy())
    assert np.array_equal(task.predict(IMAGE, **options), expected.argmax(0).numpy())


@pytest.mark.parametrize("options", [{}, {"window": 80}, {"window": 16}, {"window": 16, "tta": "flip"}], ids=str)
def test_predict__equals_an_evaluation_of_mixed_sizes(task, options):
    task.protocol = InferenceConfig.of(**options)
    predicted = [task.predict(image, **options, details=True).logits for image in MixedSizes.images]
    for batch_size in (1, 4):
        evaluated = {}
        for batches in MixedSizes(batch_size=batch_size, num_workers=0).val_dataloader():
            with torch.inference_mode():
                for batch in batches:
                    evaluated |= zip(batch["index"].tolist(), task.logits_at_target(batch).numpy(), strict=True)
        assert sorted(evaluated) == list(range(6))
        for index, logits in enumerate(predicted):
            if batch_size == 1 or options.get("window") == 16:
                assert np.array_equal(evaluated[index], logits)
            assert np.allclose(evaluated[index], logits, rtol=0, atol=1e-5 * np.abs(logits).max())


def test_predict__windows_that_cover_the_image_change_nothing(task):
    expected = task.predict(IMAGE, details=True).logits
    for window in (61, 62, 512):
        assert np.array_equal(task.predict(IMAGE, window=window, details=True).logits, expected)


def test_predict__restores_modes(task):
    expected = task.predict(IMAGE)
    task.train()
    task.net.blocks = task.net.get_submodule(next(name for name, _ in task.net.named_children())).eval()
    modes = [module.training for module in task.modules()]
    statistics = {name: value.clone() for name, value in task.state_dict().items()}
    assert np.array_equal(task.predict(IMAGE), expected)
    assert [module.training for module in task.modules()] == modes
    assert all(torch.equal(value, statistics[name]) for name, value in task.state_dict().items())
    assert not torch.is_inference_mode_enabled()


def test_predict__invalid_option(task):
    with pytest.raises(ConfigError, match="window: must be 1 or more pixels, got -1"):
        task.predict(IMAGE, window=-1)


def test_predict__returns_the_class_of_an_image(tmp_path):
    task = lightseg.load(write_checkpoint(tmp_path / "x.ckpt", "ClassificationTask", "lightseg.nets.SimpleCNN"))
    image = IMAGE[:32, :32]
    with torch.inference_mode():
        expected = task(torch.from_numpy(image.transpose(2, 0, 1).copy())[None])[0]
    prediction = task.predict(image, details=True)
    assert task.predict(image) == prediction.classes == int(expected.argmax())
    assert np.array_equal(prediction.logits, expected.numpy())
    assert prediction.uncertainty.shape == ()


def test_prediction__probabilities_and_uncertainty():
    logits = np.log(np.array([[[0.5, 1.0]], [[0.25, 1.0]], [[0.25, 1.0]]], np.float32))
    prediction = Prediction(np.zeros((1, 2), np.uint8), logits)
    assert np.allclose(prediction.probabilities[:, 0], [[0.5, 1 / 3], [0.25, 1 / 3], [0.25, 1 / 3]])
    # 1.5 bits of log2(3)
    assert np.allclose(prediction.uncertainty, [[1.5 / np.log2(3), 1]])
    warm = Prediction(prediction.classes, logits, temperature=2.0)
    roots = np.sqrt([0.5, 0.25, 0.25])
    assert np.allclose(warm.probabilities[:, 0, 0], roots / roots.sum())


@pytest.mark.parametrize("is_same_checkpoint", [True, False])
def test_load__uses_the_temperature_of_the_same_checkpoint_only(tmp_path, is_same_checkpoint):
    file = write_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    assert lightseg.load(tmp_path).temperature == 1
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest() if is_same_checkpoint else "0"
    (tmp_path / "calibration.json").write_text(json.dumps({"temperature": 1.5, "sha256": sha256}))
    task = lightseg.load(tmp_path)
    expected = 1.5 if is_same_checkpoint else 1.0
    assert task.temperature == expected
    assert task.predict(IMAGE, details=True).temperature == expected
    assert task.predict(IMAGE, tta="flip", details=True).temperature == 1


def test_protocol_for__adds_windows_for_large_images_without_resizing(tmp_path):
    large, small = (4097, 4096), (4096, 4096)
    task = lightseg.load(write_checkpoint(tmp_path / "x.ckpt"))
    assert task.protocol_for(small, InferenceConfig()) == InferenceConfig()
    assert task.protocol_for(large, InferenceConfig(tta=("flip",))) == InferenceConfig(512, tta=("flip",))
    assert task.protocol_for(large, InferenceConfig(64)) == InferenceConfig(64)
    resizing_task = lightseg.load(write_checkpoint(tmp_path / "y.ckpt", eval_transforms=RESIZE))
    assert resizing_task.protocol_for(large, InferenceConfig()) == InferenceConfig()
