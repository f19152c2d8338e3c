"""Folder of images and masks, and the recipe that trains on it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from lightseg.data.datasets.mask_folder import MaskFolder
from lightseg.errors import DataError

SIZE, COUNT = 32, 8
TWO = ["background", "road"]


def sample(seed):
    """Return a dark noisy image with a bright box, `(32, 32, 3)`, and its mask of 0 and 1, `(32, 32)`."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    y, x = rng.integers(0, SIZE - SIZE // 2, 2)
    mask[y : y + SIZE // 2, x : x + SIZE // 2] = 1
    image = rng.integers(0, 60, (SIZE, SIZE, 3)).astype(np.uint8)
    image[mask == 1] += 150
    return image, mask


def palette_image(mask, *colors):
    """Return a palette image of the indices `(H, W)`."""
    image = Image.fromarray(mask, "P")
    image.putpalette([channel for color in colors for channel in color])
    return image


class Case:
    """Folder of images and masks, and the recipe that trains on it for an epoch."""

    def __init__(self, tmp_path, fit):
        self.root, self._recipe, self._fit = tmp_path / "data", tmp_path / "case.yaml", fit
        for index in range(COUNT):
            image, mask = sample(index)
            self.save(f"images/{index:02d}.png", Image.fromarray(image))
            self.save(f"masks/{index:02d}.png", Image.fromarray(mask))

    def save(self, name, image, **options):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, **options)
        return path

    def masks(self, suffix, write):
        """Replace every mask by `write(path, mask, index)`."""
        shutil.rmtree(self.root / "masks")
        (self.root / "masks").mkdir()
        for index in range(COUNT):
            write(self.root / f"masks/{index:02d}{suffix}", sample(index)[1], index)

    def images(self, suffix, write):
        """Replace every image by `write(path, image, index)`."""
        shutil.rmtree(self.root / "images")
        (self.root / "images").mkdir()
        for index in range(COUNT):
            write(self.root / f"images/{index:02d}{suffix}", sample(index)[0], index)

    def recipe(self, **options):
        options = {"root": str(self.root), "classes": ["background", "object"], **options}
        options |= {"batch_size": 4, "num_workers": 0, "train_transforms": []}
        content = {
            "base": ["configs/data/mask_folder.yaml", "configs/net/unet.yaml"],
            "data": {"init_args": options},
            "model": {"init_args": {"net": {"init_args": {"width": 4, "depth": 2}}}},
            "trainer": {"max_epochs": 1, "precision": "32-true", "accelerator": "cpu", "log_every_n_steps": 1},
        }
        self._recipe.write_text(yaml.safe_dump(content))
        return self._recipe

    def fit(self, **options):
        return self._fit("--config", self.recipe(**options))

    def refused(self, **options):
        """Return the error message of `fit`; check that it created no run folder."""
        runs = self._recipe.parent / "runs"
        before = list(runs.glob("*"))
        outcome = self.fit(**options)
        assert outcome.code == 2, outcome
        assert list(runs.glob("*")) == before
        assert "Traceback" not in outcome.err
        return outcome.err

    def data(self, **options):
        return MaskFolder(**{"root": str(self.root), "classes": ["background", "object"], **options})

    def reads_as_plain(self, **options):
        """Check that the masks of every split are those of `sample`."""
        data = self.data(**options)
        for split in ("train", "val", "test"):
            part = data.dataset(split)
            for index in range(len(part)):
                number = int("".join(filter(str.isdigit, Path(part.name(index)).name)))
                assert np.array_equal(part[index][1], sample(number)[1]), part.name(index)


def complaint(root, error=DataError, **options):
    """Return the message with which data of two classes is refused."""
    with pytest.raises(error) as caught:
        MaskFolder(**{"classes": TWO, "root": str(root), **options}).check()
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    return message


def names(module, split):
    """The names of a split's images."""
    dataset = module.dataset(split)
    return [dataset.name(index) for index in range(len(dataset))]


def all_names(module):
    """The names of each split's images."""
    return {split: names(module, split) for split in ("train", "val", "test")}
