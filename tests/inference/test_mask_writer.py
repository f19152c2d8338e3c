"""Files of a segmentation, written while it is predicted."""

import numpy as np
import pytest
import torch
from PIL import Image

from lightseg.inference import mask_writer
from lightseg.inference.inference_config import InferenceConfig
from lightseg.inference.mask_writer import Outputs, write_masks
from lightseg.inference.readers import source_from_array
from lightseg.tasks import SegmentationTask

PALETTE = [(0, 0, 200), (200, 0, 0), (0, 200, 0)]
IMAGE = np.random.default_rng(0).integers(0, 256, (37, 61, 3), np.uint8)


@pytest.fixture
def task():
    """Return a task whose logits are the three colors of a pixel."""
    return SegmentationTask(torch.nn.Identity(), ["a", "b", "c"], mean=[0.0] * 3, std=[1.0] * 3).eval()


def _outputs(folder):
    return Outputs(folder / "m.png", folder / "o.jpg", folder / "p.npy")


@pytest.mark.parametrize("window", [None, 16])
def test_write_masks__classes_probabilities_and_progress(task, tmp_path, window):
    shares = []
    task.temperature = 0.25
    protocol = InferenceConfig(window=window, overlap=0.0 if window else 0.25)
    write_masks(task, source_from_array(IMAGE, "x"), protocol, _outputs(tmp_path), PALETTE, progress=shares.append)
    with Image.open(tmp_path / "m.png") as mask:
        assert np.array_equal(np.asarray(mask), IMAGE.argmax(2))
        assert mask.getpalette()[:9] == [channel for color in PALETTE for channel in color]
    probabilities = np.load(tmp_path / "p.npy")
    assert (probabilities.dtype, probabilities.shape) == (np.float16, (3, 37, 61))
    expected = torch.from_numpy(IMAGE).permute(2, 0, 1).float().div(255 * 0.25).softmax(0).numpy()
    assert np.abs(probabilities - expected).max() < 1e-3
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert (len(shares) > 1) == bool(window)


def test_write_masks__the_overlay_is_half_image_half_class(task, tmp_path, monkeypatch):
    monkeypatch.setattr(mask_writer, "LONGEST", 16)
    flat = np.zeros((40, 30, 3), np.uint8)
    flat[..., 1] = 100
    write_masks(task, source_from_array(flat, "x"), InferenceConfig(), _outputs(tmp_path), PALETTE)
    with Image.open(tmp_path / "o.jpg") as overlay:
        # every third pixel, so that the longer side has 16 at most
        assert overlay.size == (10, 14)
        assert np.abs(np.asarray(overlay).mean((0, 1)) - [100, 50, 0]).max() < 4


def test_write_masks__an_error_leaves_no_file(task, tmp_path):
    def stop(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_masks(
            *(task, source_from_array(IMAGE, "x"), InferenceConfig(window=16), _outputs(tmp_path), PALETTE),
            progress=stop,
        )
    assert list(tmp_path.iterdir()) == []


def test_outputs__the_files_that_are_asked_for(tmp_path):
    outputs = Outputs(tmp_path / "m.png")
    assert outputs.paths == [tmp_path / "m.png"]
    assert _outputs(tmp_path).paths == [tmp_path / name for name in ("m.png", "o.jpg", "p.npy")]
