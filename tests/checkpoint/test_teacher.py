"""Teachers loaded from files of any origin."""

import hashlib

import numpy as np
import pytest
import torch

import lightseg
from lightseg.checkpoint.teacher import load_teacher
from lightseg.errors import ConfigError
from lightseg.tasks import Ensemble
from tests.inference.models import write_checkpoint


def test_load_teacher__of_several_is_their_ensemble_without_temperatures(tmp_path):
    files = [write_checkpoint(tmp_path / f"{width}.ckpt", width=width) for width in (4, 6)]
    content = torch.load(files[1], weights_only=True)
    torch.save({**content, "temperature": 3.0}, files[1])
    teacher, records = load_teacher("+".join(map(str, files)))
    assert isinstance(teacher, Ensemble)
    image = torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8)
    members = [lightseg.load(file)(image).softmax(1).detach() for file in files]
    np.testing.assert_allclose(teacher(image).softmax(1).detach(), (members[0] + members[1]) / 2, atol=1e-6)
    assert records == [
        {
            "run": file.name,
            "file": file.name,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "score": None,
            "classes": ["class 0", "class 1", "class 2"],
        }
        for file in files
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["nowhere.ckpt"], "model.teacher: .*nowhere.ckpt: no checkpoint found"),
        (["*.ckpt"], r"model.teacher: .*\*.ckpt: is a pattern, .*; join models by \+"),
        (["a.ckpt", "a.ckpt"], "model.teacher: .* names .*a.ckpt twice"),
        (["a.ckpt", "b.ckpt"], "model.teacher: .*b.ckpt: classes .*; leave one of them out"),
    ],
)
def test_load_teacher__what_is_refused(tmp_path, names, message):
    write_checkpoint(tmp_path / "a.ckpt")
    write_checkpoint(tmp_path / "b.ckpt", classes=2)
    with pytest.raises(ConfigError, match=message):
        load_teacher("+".join(str(tmp_path / name) for name in names))


def test_load_teacher__builds_no_class_of_others(tmp_path):
    file = write_checkpoint(tmp_path / "a.ckpt")
    content = torch.load(file, weights_only=True)
    content["lightseg"]["config"]["model"]["init_args"]["net"] = {"class_path": "antigravity.Net", "init_args": {}}
    torch.save(content, file)
    with pytest.raises(ConfigError, match=r"model.teacher: .* antigravity.Net is not a class of lightseg.* --trust"):
        load_teacher(str(file))
