"""Files that try to run something when they are loaded; each is loaded in one process that an audit hook watches."""

import copy
import json
import os
import subprocess
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import lightseg
from lightseg.checkpoint.rebuild import build_data
from lightseg.errors import UserError
from tests.conftest import ROOT
from tests.inference.models import write_checkpoint

COMMAND = {"class_path": "os.system", "init_args": {"command": "touch PWNED"}}
PLANTED = {"class_path": "planted.Net", "init_args": {}}
MODULE = """
from pathlib import Path
from torch import nn

Path(__file__).with_name("RAN").touch()

class Net(nn.Conv2d):
    def __init__(self, num_classes: int, in_channels: int = 3):
        super().__init__(in_channels, num_classes, 1)
"""


def _put(content, keys, value):
    *above, last = keys.split("/")
    for key in above:
        content = content.setdefault(key, {})
    content[last] = value


MODEL, NET = "lightseg/config/model", "lightseg/config/model/init_args/net"
TRANSFORM = "lightseg/config/data/init_args/eval_transforms"
FCN = "lightseg.nets.FCN"


def _net(path, **options):
    return {NET: {"class_path": path, "init_args": options}}


FOREIGN = {
    "net": {NET: COMMAND},
    "net of a module beside it": {NET: PLANTED},
    "net of a module that nobody has imported": {NET: {"class_path": "ftplib.FTP", "init_args": {"host": "127.0.0.1"}}},
    "net builtins.eval": {NET: {"class_path": "builtins.eval", "init_args": {"source": "open('PWNED', 'w')"}}},
    "net torch.hub.load": {NET: {"class_path": "torch.hub.load", "init_args": {"repo_or_dir": "a/b", "model": "c"}}},
    "net of torch": {NET: {"class_path": "torch.nn.Conv2d", "init_args": {"kernel_size": 1}}},
    "net by its short name": {NET: {"class_path": "UNet"}},
    "net of another module of lightseg": {
        NET: {"class_path": "lightseg.checkpoint.loading", "init_args": {"path": "x"}}
    },
    "net by a name that lightseg imports": {NET: {"class_path": "lightseg.nets.unet.nn.Conv2d"}},
    "net as a text": {NET: "os.system"},
    "net as a list": {NET: [COMMAND]},
    "task": {f"{MODEL}/class_path": "os.system"},
    "task of a module beside it": {f"{MODEL}/class_path": "planted.Net"},
    "resolved net": {"lightseg/resolved/net": COMMAND},
    "loss": {f"{MODEL}/init_args/loss": COMMAND},
    "loss as YAML": {f"{MODEL}/init_args/loss": "{class_path: os.system, init_args: {command: touch PWNED}}"},
    "dict_kwargs": {f"{NET}/dict_kwargs": {"x": COMMAND}},
    "dotted option": {f"{NET}/init_args/width.class_path": "os.system"},
    "appended option": {f"{NET}/init_args/width+": COMMAND},
    "unknown option": {f"{NET}/init_args/hook": COMMAND},
    "kwargs": _net(FCN, encoder="resnet10t", kwargs={"act_layer": COMMAND}),
    "kwargs as YAML": _net(FCN, encoder="resnet10t", kwargs={"act_layer": "{class_path: os.system}"}),
    "kwargs as escaped YAML": _net(FCN, encoder="resnet10t", kwargs={"a": '"{\\x63lass_path: os.system}"'}),
    "kwargs in a list": _net(FCN, encoder="resnet10t", kwargs={"layers": [[COMMAND]]}),
    "kwargs as one YAML": _net(FCN, encoder="resnet10t", kwargs="{a: {class_path: os.system}}"),
    "timm checkpoint_path": _net(FCN, encoder="resnet10t", kwargs={"checkpoint_path": "evil.pth"}),
    "timm pretrained": _net(FCN, encoder="resnet10t", kwargs={"pretrained": True}),
    "timm pretrained_cfg": _net(FCN, encoder="resnet10t", kwargs={"pretrained_cfg_overlay": {"file": "evil.pth"}}),
    "timm of the hub": _net("lightseg.nets.TimmNet", encoder="hf-hub:a/b"),
    "timm of a folder": _net("lightseg.nets.TimmNet", encoder="local-dir:/tmp/evil"),
    "segmenter of the hub": _net("lightseg.nets.Segmenter", encoder="hf-hub:a/b"),
    "segmenter kwargs": _net("lightseg.nets.Segmenter", encoder="resnet10t", kwargs={"act_layer": COMMAND}),
    "segmenter head": _net("lightseg.nets.Segmenter", encoder="resnet10t", head="os.system"),
    "smp of the hub": _net("lightseg.nets.SmpNet", encoder="tu-hf-hub:a/b"),
    "smp encoder_weights": _net("lightseg.nets.SmpNet", kwargs={"encoder_weights": "imagenet"}),
    "torchvision weights": _net("lightseg.nets.TorchvisionNet", kwargs={"weights": "DEFAULT"}),
    "eval_transforms": {TRANSFORM: [COMMAND]},
    "eval_transforms as a text": {TRANSFORM: "os.system"},
    "eval_transforms Lambda": {
        TRANSFORM: [{"class_path": "albumentations.Lambda", "init_args": {"image": "os.system"}}]
    },
    "eval_transforms in OneOf": {
        TRANSFORM: [{"class_path": "albumentations.OneOf", "init_args": {"transforms": [COMMAND]}}]
    },
    "eval_transforms with a function": {
        TRANSFORM: [{"class_path": "albumentations.FDA", "init_args": {"reference_images": [], "read_fn": "os.system"}}]
    },
}
"""What a checkpoint asks for, by the keys of its content; each is refused before it is imported."""

IGNORED = {
    "optimizer": {f"{MODEL}/init_args/optimizer": COMMAND},
    "schedule": {f"{MODEL}/init_args/schedule": PLANTED},
    "data": {"lightseg/config/data/class_path": "os.system"},
    "train_transforms": {"lightseg/config/data/init_args/train_transforms": [PLANTED]},
    "callbacks": {"lightseg/config/trainer": {"callbacks": [COMMAND], "logger": [PLANTED]}},
    "encoder_weights": {f"{NET}/init_args/encoder_weights": "https://evil/x.pth"},
}
"""What a training has besides and a loaded model has not: never built."""


def _changed(content, changes):
    content = copy.deepcopy(content)
    for keys, value in changes.items():
        _put(content, keys, value)
    return content


def _as_safetensors(content, path):
    state = {name: value.contiguous() for name, value in content["state_dict"].items()}
    save_file(state, path, {"recipe": json.dumps(content["lightseg"])})


def write_cases(place):
    """Write the files of all cases, and return their names, paths and trust."""
    cases = []

    def add(name, path, trust=False):
        cases.append({"name": name, "path": str(path), "trust": trust})

    clean = torch.load(write_checkpoint(place / "harmless.ckpt"), weights_only=True)
    fcn = torch.load(write_checkpoint(place / "harmless_fcn.ckpt", net=FCN, width=4), weights_only=True)
    timm = write_checkpoint(
        place / "harmless_timm.ckpt", "ClassificationTask", "lightseg.nets.TimmNet", encoder="resnet10t"
    )
    smp = write_checkpoint(place / "harmless_smp.ckpt", net="lightseg.nets.SmpNet", encoder="resnet18")
    resize = [{"class_path": "albumentations.Resize", "init_args": {"height": 24, "width": 48}}]
    for path in (place / "harmless.ckpt", place / "harmless_fcn.ckpt", timm, smp):
        add(f"harmless {path.stem}", path)
    torch.save(_changed(clean, {TRANSFORM: resize}), place / "resizing.ckpt")
    add("harmless resize", place / "resizing.ckpt")
    for name, changes in {**FOREIGN, **IGNORED}.items():
        base = fcn if name == "encoder_weights" else clean
        content = _changed(base, changes)
        torch.save(content, place / f"{name}.ckpt")
        add(name, place / f"{name}.ckpt")
    hostile = _changed(clean, {NET: PLANTED})
    optimizing = _changed(clean, {f"{MODEL}/init_args/optimizer": COMMAND})
    _as_safetensors(hostile, place / "hostile.safetensors")
    add("safetensors", place / "hostile.safetensors")
    _as_safetensors(optimizing, place / "optimizing.safetensors")
    add("safetensors optimizer", place / "optimizing.safetensors")
    for name, content in (("run folder", hostile), ("run folder optimizer", optimizing)):
        folder = place / name
        (folder / "checkpoints").mkdir(parents=True)
        torch.save(content, folder / "checkpoints/best.ckpt")
        (folder / "config.yaml").write_text("data: 5")
        (folder / "env.json").write_text(json.dumps({"import_path": [str(folder)]}))
        (folder / "planted.py").write_text(MODULE)
        add(name, folder)
    hub = place / "hub"
    hub.mkdir()
    _as_safetensors(hostile, hub / "model.safetensors")
    (hub / "planted.py").write_text(MODULE)
    add("hub repository", hub)
    # the last of all, since what is imported once stays
    add("trusted checkpoint", place / "net of a module beside it.ckpt", trust=True)
    return cases


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Message and imports of each case, by its name, from a process under audit."""
    place = tmp_path_factory.mktemp("hostile")
    (place / "planted.py").write_text(MODULE)
    cases = write_cases(place)
    (place / "cases.json").write_text(json.dumps(cases))
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{place}",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.audit_load", place / "cases.json"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert len(results) == len(cases)
    return {**results, "stderr": done.stderr, "place": place}


@pytest.mark.parametrize("name", FOREIGN)
def test_load__foreign_class_is_refused_before_it_is_imported(audited, name):
    result = audited[name]
    assert result["events"] == []
    assert result["message"].startswith("UserError: ")
    assert f"{name}.ckpt" in result["message"]
    assert "\n" not in result["message"]


@pytest.mark.parametrize("name", IGNORED)
def test_load__what_belongs_to_the_training_is_never_built(audited, name):
    assert (audited[name]["message"], audited[name]["events"]) == ("", [])


@pytest.mark.parametrize("name", ["safetensors", "run folder", "hub repository"])
def test_load__other_containers_are_no_way_around(audited, name):
    assert audited[name]["events"] == []
    assert "planted.Net is not a class of lightseg" in audited[name]["message"]
    assert "trust=True, or --trust" in audited[name]["message"]


@pytest.mark.parametrize("name", ["safetensors optimizer", "run folder optimizer"])
def test_load__other_containers_build_no_optimizer(audited, name):
    assert (audited[name]["message"], audited[name]["events"]) == ("", [])


def test_load__harmless_files_are_loaded(audited):
    names = [name for name in audited if name.startswith("harmless")]
    assert len(names) == 5
    assert [(audited[name]["message"], audited[name]["events"]) for name in names] == [("", [])] * 5


def test_load__with_trust_says_what_it_runs(audited):
    result = audited["trusted checkpoint"]
    assert "does not fit the net of its recipe" in result["message"]
    assert "import planted" in result["events"]
    assert f"write {audited['place'] / 'RAN'}" in result["events"]
    lines = [line for line in audited["stderr"].splitlines() if "trusted" in line]
    assert len(lines) == 1
    assert "runs planted.Net" in lines[0]
    assert str(audited["place"] / "planted.py") in lines[0]


def test_load__nothing_was_written(audited):
    assert not (audited["place"] / "PWNED").exists()
    assert not (audited["place"] / "run folder/RAN").exists()


@pytest.mark.slow
def test_predict__a_module_in_the_working_directory_is_not_found(audited, tmp_path):
    for name in ("timm", "captum", "planted"):
        (tmp_path / f"{name}.py").write_text("from pathlib import Path\nPath(__file__).with_name('RAN').touch()\n")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    site = tmp_path / "site"
    site.mkdir()
    (site / "lightseg").symlink_to(ROOT / "lightseg")
    code = "import sys; sys.path.insert(0, ''); from lightseg.predict import main; sys.exit(main(sys.argv[1:]))"
    model = audited["place"] / "harmless_timm.ckpt"
    done = subprocess.run(
        [sys.executable, "-c", code, model, "a.png", "--out", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "RAN").exists()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("GlassBlur", {"iterations": 10**9}),
        ("GaussianBlur", {"blur_limit": [1000001, 1000001]}),
        ("Sequential", {"transforms": [{"class_path": "albumentations.ToGray"}]}),
    ],
)
def test_load__eval_transforms_that_can_be_slow_need_trust(tmp_path, name, options):
    gray = {"class_path": "albumentations.ToGray"}
    transforms = [gray, {"class_path": f"albumentations.{name}", "init_args": options}]
    file = write_checkpoint(tmp_path / "x.ckpt", eval_transforms=transforms)
    with pytest.raises(UserError, match=rf"x.ckpt: data.eval_transforms.1: {name} may take any time .* --trust on"):
        lightseg.load(file)
    assert lightseg.load(file, trust=True).classes


def test_build_data__eval_transforms_of_a_config_are_those_of_a_checkpoint():
    transforms = [{"class_path": "albumentations.ZoomBlur", "init_args": {}}]
    config = {"seed_everything": 0, "data": {"class_path": "lightseg.data.Shapes"}}
    config["data"]["init_args"] = {"eval_transforms": transforms}
    with pytest.raises(UserError, match="config.yaml: data.eval_transforms.0: ZoomBlur may take any time"):
        build_data(config, file="config.yaml")
    assert build_data(config, trust=True, file=None)
