import cv2
import numpy as np

from lightseg.data import Shapes
from lightseg.diagnosis.duplicates import duplicate_findings
from lightseg.diagnosis.samples import Sample, look


def sample(split, name, image):
    summary = Sample(split, name, name)
    look(summary, image, 0, 2)
    return summary


def pictures(count):
    data = Shapes(train_size=count)
    return [data.dataset("train")[index][0] for index in range(count)]


def checks(*samples):
    return {finding.check: list(finding.files) for finding in duplicate_findings(samples)}


def test_duplicates__other_pictures_are_none():
    splits = ("train", "val", "test")
    assert checks(*(sample(splits[i % 3], str(i), image) for i, image in enumerate(pictures(120)))) == {}


def test_duplicates__equal_pixels_in_one_split_and_in_two():
    first, second = pictures(2)
    findings = checks(
        sample("train", "a", first),
        sample("train", "b", first),
        sample("val", "c", second),
        sample("test", "d", second),
    )
    assert findings == {"duplicates": ["a", "b"], "duplicates across splits": ["c", "d"]}


def test_duplicates__saved_scaled_or_lit_otherwise_is_near():
    (image,) = pictures(1)
    saved = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], cv2.IMREAD_COLOR)
    scaled = cv2.resize(image, (70, 70), interpolation=cv2.INTER_AREA)
    lit = np.clip(image.astype(int) + 12, 0, 255).astype(np.uint8)
    for changed in (saved, scaled, lit):
        findings = checks(sample("train", "a", image), sample("test", "b", changed))
        assert findings == {"near duplicates across splits": ["a", "b"]}


def test_duplicates__empty_pictures_are_not_near_each_other():
    dark, darker = np.full((40, 40, 3), 3, np.uint8), np.full((40, 40, 3), 2, np.uint8)
    assert checks(sample("train", "a", dark), sample("val", "b", darker)) == {}
