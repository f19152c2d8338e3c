import numpy as np
import pytest
import tifffile
from PIL import Image

from lightseg.data import MaskFolder
from lightseg.data.datasets.mask_dataset import SizeError
from lightseg.diagnosis.samples import Sample, look, survey
from lightseg.labels import IGNORE
from tests.data.fabricate import folder


def test_look__counts_by_hand():
    mask = np.zeros((4, 5), np.uint8)
    mask[0, :2], mask[3, 3:], mask[2, 0] = 1, 1, IGNORE
    summary = Sample("train", "a", "a")
    image = np.full((4, 5, 3), 51, np.uint8)
    image[..., 1] = 255
    look(summary, image, mask, 3)
    assert summary.counts.tolist() == [15, 4, 0, 1]
    assert sorted(summary.objects[1].tolist()) == [2, 2]
    number, total, squares = summary.pixels
    assert number == 20
    np.testing.assert_allclose(total / 20, [0.2, 1, 0.2])
    np.testing.assert_allclose(squares / 20, [0.04, 1, 0.04])


def test_survey__does_not_decode_an_image_whose_header_differs_from_its_mask(tmp_path):
    root = folder(tmp_path, 4)
    image = sorted((root / "images").iterdir())[0]
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    Image.fromarray(noise).save(image)
    content = bytearray(image.read_bytes())
    # pixels that a decoder would refuse
    content[len(content) // 2] ^= 1
    image.write_bytes(content)
    data = MaskFolder(["a", "b"], root=str(root), num_workers=0)
    samples = survey(data, {split: data.dataset(split) for split in ("train", "val", "test")})
    (sample,) = [sample for sample in samples if sample.name == f"images/{image.name}"]
    assert [type(problem.error) for problem in sample.problems] == [SizeError]
    assert sum(sample.readable for sample in samples) == 3


@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_survey__does_not_decode_a_mask_whose_header_differs_from_its_image(suffix, tmp_path):
    root = folder(tmp_path, 4)
    path = sorted((root / "masks").iterdir())[0]
    # values that are no class, which reading it would report
    values = np.full((300, 400), 77, np.uint8)
    larger = path.with_suffix(f".{suffix}")
    np.save(larger, values) if suffix == "npy" else tifffile.imwrite(larger, values)
    path.unlink()
    data = MaskFolder(["a", "b"], root=str(root), num_workers=0)
    samples = survey(data, {split: data.dataset(split) for split in ("train", "val", "test")})
    (sample,) = [sample for sample in samples if sample.mask == f"masks/{larger.name}"]
    assert [type(problem.error) for problem in sample.problems] == [SizeError]
    assert "is 400×300, but its image" in str(sample.problems[0].error)
