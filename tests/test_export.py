"""Export through the verb `export`."""

import json
import shutil
import sys
from functools import partial

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import lightseg
from lightseg.checkpoint import safetensors
from lightseg.data import Shapes
from lightseg.errors import UserError
from lightseg.export import main
from lightseg.exporting import benchmark
from lightseg.exporting import export as export_module
from lightseg.exporting.graph import InferenceGraph
from lightseg.exporting.options import described_files
from lightseg.files.atomic import sha256

# pytree's own, in torch.export of torch 2.15
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SHAPES = ["background", "circle", "square", "triangle", "star", "ring"]


@pytest.fixture
def folder(trained, tmp_path):
    """Copy of the run."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def export(call):
    return partial(call, main)


def _agree(folder, file, shapes):
    """That an ONNX file and the loaded run say the same of images of some shapes, but where two classes are a tie."""
    graph = InferenceGraph(lightseg.load(folder))
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for shape in shapes:
        image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            probabilities, classes = graph(image)
        actual = session.run(["probabilities", "classes"], {"image": image.numpy()})
        assert np.abs(actual[0] - probabilities.numpy()).max() < 1e-3
        best, second = probabilities.topk(2, dim=1).values.unbind(1)
        differs = torch.from_numpy(actual[1]) != classes
        assert not (differs & (best - second > 2e-3)).any()
        assert differs.float().mean() <= 0.01


def test_onnx__is_checked_and_described(folder, export, monkeypatch):
    monkeypatch.setattr(benchmark, "SECONDS", 0)
    code, out, err = export(folder, "--images", "3", "--licence", "cc-by-4.0", "--benchmark", "--sizes", "32x40")
    assert (code, err) == (0, "")
    assert "checked on validation images: 3 images of 1 size" in out
    assert "32 × 40" in out
    exported = folder / "export"
    assert {file.name for file in exported.iterdir()} == {"model.onnx", "parity.json", "README.md"}
    record = json.loads((exported / "parity.json").read_text())["model.onnx"]
    assert record["images"] == 3
    assert record["agreement"] >= 0.9999
    assert abs(record["loss"]) <= 1e-4
    assert record["odd_size"]["size"] == [37, 61]
    assert [row["runtime"] for row in record["benchmark"]["timings"]] == ["torch", "onnx"]
    metadata = {entry.key: entry.value for entry in onnx.load(exported / "model.onnx").metadata_props}
    assert json.loads(metadata["classes"]) == SHAPES
    assert json.loads(metadata["palette"])[1] == [128, 0, 0]
    assert metadata["licence"] == "cc-by-4.0"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert json.loads(metadata["score"]) == metrics["test/score"]
    assert json.loads(metadata["recipe"])["config"]["data"]["class_path"] == "lightseg.data.Shapes"
    card = (exported / "README.md").read_text()
    assert "license: cc-by-4.0" in card
    assert f"{metrics['test/iou/circle']:.4f}" in card
    _agree(folder, exported / "model.onnx", [(1, 3, 37, 61), (3, 3, 37, 61), (2, 3, 5, 8)])


@pytest.fixture
def earlier_export(folder):
    """Folder with an earlier export, which the test must not change."""
    (folder / "export").mkdir()
    (folder / "export/model.safetensors").write_text("the old one")
    yield folder / "export"
    assert [file.name for file in (folder / "export").iterdir()] == ["model.safetensors"]
    assert (folder / "export/model.safetensors").read_text() == "the old one"


def test_export__that_differs_leaves_what_was_there(folder, earlier_export, export, monkeypatch):
    read_file = safetensors.read

    def read_changed(file):
        content = read_file(file)
        content["state_dict"]["net.head.bias"] += 1e-3
        return content

    monkeypatch.setattr(safetensors, "read", read_changed)
    code, _, err = export(folder, "--format", "safetensors", "--images", "2")
    assert code == 1
    assert "model.safetensors differs from torch" in err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RuntimeError("a kernel\nis missing"), 1, "--benchmark: a kernel is missing; nothing was written"),
        (OSError(28, "No space left on device"), 2, "the disk is full"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_export__that_fails_midway_leaves_what_was_there(
    error, code, message, folder, earlier_export, export, monkeypatch
):
    def fail(*_):
        raise error

    monkeypatch.setattr(export_module, "benchmark", fail)
    actual, _, err = export(folder, "--format", "safetensors", "--images", "0", "--benchmark")
    assert actual == code
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["model.json", "metrics.json", "data.json", "calibration.json", "export/parity.json"])
def test_export__damaged_files_are_named(name, folder, export):
    (folder / "export").mkdir()
    (folder / name).write_text("{")
    code, _, err = export(folder, "--format", "safetensors", "--images", "0")
    assert code == 2
    assert f"{name}: is damaged" in err
    assert err.count("\n") == 1


def test_export__a_parity_that_is_none(folder, export):
    (folder / "export").mkdir()
    (folder / "export/parity.json").write_text('{"x": 5}')
    code, _, err = export(folder, "--format", "safetensors", "--images", "0")
    assert code == 2
    assert "export/parity.json: is damaged (x: " in err


@pytest.mark.parametrize("temperature", [0, -1, "much", None, float("nan")])
def test_load__a_temperature_that_is_none(temperature, folder):
    digest = sha256(folder / "checkpoints/best.ckpt")
    (folder / "calibration.json").write_text(json.dumps({"sha256": digest, "temperature": temperature}))
    with pytest.raises(UserError, match=r"calibration\.json: is damaged \(temperature: "):
        lightseg.load(folder)


def test_load__the_temperature_of_this_checkpoint_alone(folder, export, tmp_path):
    digest = sha256(folder / "checkpoints/best.ckpt")
    (folder / "calibration.json").write_text(json.dumps({"sha256": digest, "temperature": 2.5}))
    assert lightseg.load(folder).temperature == 2.5
    assert export(folder, "--format", "safetensors", "--images", "0", "--out", tmp_path / "out")[0] == 0
    assert lightseg.load(tmp_path / "out").temperature == 2.5
    (folder / "calibration.json").write_text(json.dumps({"sha256": "another's", "temperature": 2.5}))
    assert lightseg.load(folder).temperature == 1


def test_export__places_that_cannot_be(folder, export):
    (folder / "out/model.safetensors").mkdir(parents=True)
    for out, message in (
        ("config.yaml", "is a file; give a folder"),
        ("config.yaml/below", "config.yaml is a file; give a folder"),
        ("out", "model.safetensors is a folder there"),
    ):
        code, _, err = export(folder, "--format", "safetensors", "--images", "0", "--out", folder / out)
        assert code == 2
        assert message in err


@pytest.mark.slow
def test_onnx__of_a_net_for_one_size(fit, recipe, export, tmp_path):
    text = """
base: [configs/data/shapes_classification.yaml, configs/net/simple_cnn.yaml]
data: {init_args: {image_size: 32, train_size: 8, val_size: 4, test_size: 4, batch_size: 4, num_workers: 0}}
trainer: {accelerator: cpu, max_epochs: 1, log_every_n_steps: 1}
"""
    folder = fit("--config", recipe(text)).folder
    code, out, err = export(folder, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "any batch size; images of 32 × 32 pixels (height × width) only" in out
    code, _, err = export(folder, "--format", "safetensors", "--benchmark", "--sizes", "32x32,64x64")
    assert code == 2
    assert "--sizes 64x64: the net takes images of 32 × 32 pixels" in err
    assert not (folder / "export").exists()
    _agree(folder, tmp_path / "out/model.onnx", [(1, 3, 32, 32), (7, 3, 32, 32)])
    assert export(folder, "--out", tmp_path / "out", "--format", "safetensors")[0] == 0
    assert set(json.loads((tmp_path / "out/parity.json").read_text())) == {"model.onnx", "model.safetensors"}


def test_onnx__of_a_net_that_cannot_be_traced(fit, recipe, export, own_module):
    own_module(
        "fickle",
        """
from torch import nn

class Fickle(nn.Conv2d):
    def __init__(self, num_classes, in_channels=3):
        super().__init__(in_channels, num_classes, 1)

    def forward(self, x):
        return super().forward(x if x.mean() > 0 else -x)
""",
    )
    folder = fit("--config", recipe(), "--trainer.max_epochs", "1", "--model.net", "fickle.Fickle").folder
    code, _, err = export(folder)
    assert code == 2
    assert "fickle.Fickle is not a class of lightseg" in err
    code, _, err = export(folder, "--trust")
    assert code == 2
    assert "Fickle cannot be traced" in err
    assert not (folder / "export").exists()


def test_safetensors__loads_to_the_same_bits(folder, export, tmp_path):
    image = torch.randint(0, 256, (2, 3, 37, 61), dtype=torch.uint8)
    expected = lightseg.load(folder)(image)
    out = tmp_path / "out"
    assert export(folder, "--format", "safetensors", "--images", "2", "--out", out)[0] == 0
    record = json.loads((out / "parity.json").read_text())["model.safetensors"]
    assert (record["max_difference"], record["agreement"]) == (0.0, 1.0)
    assert torch.equal(lightseg.load(out)(image), expected)
    (out / "config.json").unlink()
    assert torch.equal(lightseg.load(out / "model.safetensors")(image), expected)


@pytest.fixture
def rewrite(folder, export, tmp_path):
    """Function that rewrites an exported `model.safetensors` with other content."""
    assert export(folder, "--format", "safetensors", "--images", "0", "--out", tmp_path / "out")[0] == 0
    file = tmp_path / "out/model.safetensors"
    with safe_open(file, "pt") as opened:
        texts = opened.metadata()
    state = load_file(file)

    def write(drop=None, **changed):
        content = {name: value for name, value in state.items() if name != drop}
        recipe = {name: value for name, value in json.loads(texts["recipe"]).items() if name != drop}
        (tmp_path / "out/config.json").unlink(missing_ok=True)
        save_file(content, file, {**texts, "recipe": json.dumps({**recipe, **changed})})
        return file

    return write


def test_load__safetensors_that_do_not_fit(rewrite):
    with pytest.raises(UserError, match="has format 99, this lightseg reads 1"):
        lightseg.load(rewrite(format_version=99))
    with pytest.raises(UserError, match="its recipe has no config"):
        lightseg.load(rewrite("config"))
    with pytest.raises(UserError, match="1 weights are missing"):
        lightseg.load(rewrite(drop="net.head.bias"))
    file = rewrite()
    state = load_file(file)
    with safe_open(file, "pt") as opened:
        save_file({**state, "net.head.bias": torch.zeros(7)}, file, opened.metadata())
    with pytest.raises(UserError, match=r"1 have another shape \['net.head.bias'\]"):
        lightseg.load(file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        lightseg.load(file)
    save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(UserError, match="carries no recipe"):
        lightseg.load(file)


def test_load__a_recipe_in_safetensors_runs_nothing(rewrite, tmp_path):
    planted = {"class_path": "os.system", "init_args": {"command": f"touch {tmp_path / 'boom'}"}}
    config = {"model": {"class_path": "lightseg.tasks.SegmentationTask", "init_args": {"net": planted}}}
    with pytest.raises(UserError, match="os.system is not a class of lightseg.*--trust"):
        lightseg.load(rewrite(config=config))
    with pytest.raises(UserError, match="os.system is not a class of lightseg.*--trust"):
        lightseg.load(rewrite(config={"model": {**planted, "init_args": {"net": planted}}}))
    assert not (tmp_path / "boom").exists()


def test_load__config_json_of_another_model(rewrite):
    file = rewrite()
    file.with_name("config.json").write_text('{"recipe": {"format_version": 1}}')
    with pytest.raises(UserError, match=r"config\.json: does not belong to model\.safetensors"):
        lightseg.load(file.parent)


def test_load__config_json_without_end(rewrite):
    file = rewrite()
    file.with_name("config.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"config\.json: is damaged \("):
        lightseg.load(file.parent)
    file.with_name("config.json").write_text('{"recipe": ' + "[" * 100 + "]" * 100 + "}")
    with pytest.raises(UserError, match=r"config\.json: holds more than 1000000 values or 64 levels"):
        lightseg.load(file.parent)


def test_described__parity_json_that_is_none(folder, export, tmp_path):
    out = tmp_path / "out"
    assert export(folder, "--format", "safetensors", "--images", "0", "--out", out)[0] == 0
    assert described_files(out) == ["README.md", "parity.json", "model.safetensors", "config.json"]
    for content in ("[" * 100_000, '{"model.onnx": 5}'):
        (out / "parity.json").write_text(content)
        with pytest.raises(UserError, match=r"parity\.json: is damaged \("):
            described_files(out)


def test_export__a_link_in_the_run_folder_is_not_followed(folder, export, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "export").symlink_to(tmp_path / "elsewhere")
    code, _, err = export(folder, "--format", "safetensors", "--images", "0")
    assert code == 2
    assert f"{folder / 'export'}: is a link, a pipe or a device, and is not written through" in err
    assert err.count("\n") == 1
    assert export(folder, "--format", "safetensors", "--images", "0", "--out", folder / "export")[0] == 0
    assert (tmp_path / "elsewhere/model.safetensors").is_file()


@pytest.mark.slow
def test_torch_export__round_trip(folder, export, tmp_path):
    code, _, err = export(folder, "--format", "torch_export", "--images", "2", "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    metadata = {"lightseg.json": ""}
    module = torch.export.load(tmp_path / "out/model.pt2", extra_files=metadata).module()
    assert json.loads(metadata["lightseg.json"])["classes"] == SHAPES
    image = torch.randint(0, 256, (3, 3, 37, 61), dtype=torch.uint8)
    with torch.inference_mode():
        expected = InferenceGraph(lightseg.load(folder))(image)
        torch.testing.assert_close(module(image)[0], expected[0], rtol=0, atol=1e-5)


@pytest.fixture
def train_on(fit, recipe, tmp_path):
    """Train on a folder of images of some type, with more options of the data; the run folder."""

    def train(dtype, options=""):
        root = tmp_path / "data"
        for index in range(10):
            for kind in ("images", "masks"):
                (root / kind).mkdir(parents=True, exist_ok=True)
                shape = (32, 32, 3) if kind == "images" and dtype == np.uint8 else (32, 32)
                pixels = np.full(shape, index % 2, dtype if kind == "images" else np.uint8)
                Image.fromarray(pixels).save(root / kind / f"{index}.png")
        text = f"""
base: [configs/data/mask_folder.yaml, configs/net/unet.yaml]
model: {{init_args: {{net: {{init_args: {{width: 4, depth: 2}}}}}}}}
data:
  init_args: {{root: {root}, classes: [a, b], values: {{0: a, 1: b}}, batch_size: 2, num_workers: 0, {options}}}
trainer: {{accelerator: cpu, max_epochs: 1, log_every_n_steps: 1}}
"""
        done = fit("--config", recipe(text))
        assert done.code == 0, done.err
        return done.folder

    return train


@pytest.mark.slow
def test_export__images_of_more_than_8_bits_are_not_taken_for_bytes(train_on, export, tmp_path):
    folder = train_on(np.uint16)
    assert json.loads((folder / "model.json").read_text())["dtype"] == "float32"
    for form in ("onnx", "torch_export"):
        code, _, err = export(folder, "--format", form, "--images", "0")
        assert code == 2
        assert "the images of this run are float32, not of 8 bits" in err
        assert err.count("\n") == 1
    assert not (folder / "export").exists()
    out = tmp_path / "out"
    assert export(folder, "--format", "safetensors", "--images", "0", "--out", out)[0] == 0
    description = (
        "image: float32 (N, 3, height, width), channels as in the file (RGB), values of 0..1: whole numbers divided"
    )
    assert description in json.loads((out / "config.json").read_text())["input"]
    assert description in (out / "README.md").read_text()


def test_export__a_value_range_is_told(train_on, export, tmp_path):
    folder, out = train_on(np.uint16, "value_range: [0, 3000], nodata: .nan"), tmp_path / "out"
    assert "data.value_range" in export(folder, "--images", "0")[2]
    assert export(folder, "--format", "safetensors", "--images", "0", "--out", out)[0] == 0
    values = lightseg.load(folder).recipe["image_values"]
    assert (values["ranges"], str(values["nodata"])) == ([[0.0, 3000.0]], "nan")
    fill = " and ".join(f"{value:.3g}" for value in values["fill"])
    assert f"(RGB), values of 0 to 3000 scaled to 0..1, nan set to {fill};" in (out / "README.md").read_text()
    assert str(lightseg.load(out).recipe["image_values"]) == str(values)


def test_export__data_that_is_gone(train_on, export, tmp_path):
    folder, root = train_on(np.uint8), tmp_path / "data"
    root.rename(tmp_path / "moved")
    arguments = [folder, "--format", "safetensors"]
    code, _, err = export(*arguments)
    assert code == 2
    assert "--images 0 to check it on random ones" in err
    assert not (folder / "export").exists()
    code, _, err = export(*arguments, "--data.root", tmp_path / "moved", "--data.val_fraction", "0")
    assert code == 2
    assert "the val split of MaskFolder is empty" in err
    assert export(*arguments, "--data.root", tmp_path / "moved")[0] == 0
    code, out, _ = export(*arguments, "--images", "0")
    assert code == 0
    assert "checked on random images" in out
    record = json.loads((folder / "export/parity.json").read_text())["model.safetensors"]
    assert (record["checked_on"], record["score"]) == ("random images", None)


@pytest.mark.slow
def test_export__eval_transforms_are_no_part_of_a_graph(fit, recipe, export):
    transforms = "[{class_path: albumentations.Resize, init_args: {height: 24, width: 24}}]"
    folder = fit("--config", recipe(), "--trainer.max_epochs", "1", "--data.eval_transforms", transforms).folder
    code, out, err = export(folder, "--format", "torch_export", "--images", "2")
    assert (code, err) == (0, "")
    assert "not in the graph, do this to images first: albumentations.Resize(height=24, width=24" in out
    assert "scored on images after `albumentations.Resize(height=24" in (folder / "export/README.md").read_text()
    record = json.loads((folder / "export/parity.json").read_text())["model.pt2"]
    # of the images that the net sees; the score is that of truth at its own size
    assert record["predictions"] == 2 * 24 * 24
    assert record["score"] == record["exported_score"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "tflite"], "invalid choice: 'tflite'"),
        (["--int8", "--format", "safetensors"], "--int8 is for --format onnx"),
        (["--int8", "--images", "0"], "--int8 needs images"),
        (["--sizes", "32"], "such as 256x256,512x512"),
        (["--sizes", "32x32"], "give --benchmark, too"),
        (["--images", "-1"], "--images -1: give a number"),
        (["--images", "0", "--data.root", "there"], "--data.root: changes images that --images 0"),
        (["--tolerance", "nan"], "--tolerance nan: give 0 or more"),
        (["--imags", "3"], "unrecognized arguments: --imags"),
        (["--push", "nobody"], "give hf://USER/REPO"),
    ],
)
def test_export__wrong_options(tmp_path, export, arguments, message):
    (tmp_path / "config.yaml").write_text("{}")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/best.ckpt").touch()
    code, _, err = export(tmp_path, *arguments)
    assert code == 2
    assert message in err


def test_export__without_onnx(folder, export, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    code, _, err = export(folder)
    assert code == 2
    assert "pip install 'lightseg[onnx]'" in err


NETS = {
    "unet": ["UNet", "--model.net.width", "8"],
    "unet in float64": ["UNet", "--model.net.width", "8", "--trainer.precision", "64-true"],
    "fcn": ["FCN", "--model.net.width", "8"],
} | {
    f"{arch} {encoder}": ["SmpNet", "--model.net.arch", arch, "--model.net.encoder", encoder]
    for arch, encoder in (
        *(("deeplabv3plus", "efficientnet-b0"), ("deeplabv3plus", "tu-tf_efficientnet_lite0")),
        ("fpn", "mobilenet_v2"),
    )
}


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
def test_onnx__of_many_nets(fit, recipe, export, net):
    name, *options = NETS[net]
    outcome = fit(
        *("--config", recipe(), "--data.image_size", "64", "--trainer.max_epochs", "1", "--data.train_size", "24"),
        *("--model.net", name, *options),
    )
    code, out, err = export(outcome.folder)
    print(f"\n{net}: {out}")
    assert (code, err) == (0, "")
    record = json.loads((outcome.folder / "export/parity.json").read_text())["model.onnx"]
    for parity in (record, record["odd_size"]):
        assert parity["agreement"] >= 0.9999
        assert abs(parity["loss"]) <= 1e-4
    _agree(outcome.folder, outcome.folder / "export/model.onnx", [(1, 3, 37, 61), (3, 3, 37, 61), (1, 3, 5, 8)])


@pytest.mark.slow
def test_int8__its_loss_and_latency_are_told(fit, recipe, export, monkeypatch):
    monkeypatch.setattr(benchmark, "SECONDS", 0)
    options = ["--data.train_size", "60", "--data.val_size", "10", "--data.image_size", "64"]
    folder = fit("--config", recipe(), *options, "--trainer.max_epochs", "8", "--model.net.width", "8").folder
    code, out, err = export(folder, "--int8", "--benchmark", "--sizes", "64x64")
    assert (code, err) == (0, "")
    assert "int8, on validation images" in out
    record = json.loads((folder / "export/parity.json").read_text())["model.onnx"]
    assert [row["runtime"] for row in record["benchmark"]["timings"]] == ["torch", "onnx", "onnx int8"]
    assert abs(record["int8"]["loss"]) < 0.05
    model = onnx.load(folder / "export/model.int8.onnx")
    assert any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["quantization"] == "static int8, calibrated on 32 images"
    assert json.loads(metadata["classes"]) == SHAPES
    export(folder, "--images", "2")
    assert not (folder / "export/model.int8.onnx").exists()


def test_export__does_not_replace_the_readme_of_something_else(folder, export, tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project/README.md").write_text("mine")
    code, _, err = export(folder, "--format", "safetensors", "--images", "1", "--out", tmp_path / "project")
    assert code == 2
    assert "has a README.md that is not of an export" in err
    assert (tmp_path / "project/README.md").read_text() == "mine"


def test_export__options_of_the_data_may_come_first(folder, export):
    code, _, err = export("--data.val_size", "3", folder, "--format", "safetensors", "--images", "2")
    assert (code, err) == (0, "")


def test_soup__is_the_mean_of_the_weights_if_it_is_no_worse_on_val(folder, export, tmp_path, monkeypatch):
    calls, make_dataset = [], Shapes.make_dataset
    monkeypatch.setattr(Shapes, "prepare_data", lambda _: calls.append("prepare_data"))
    monkeypatch.setattr(Shapes, "make_dataset", lambda *args: calls.append("make_dataset") or make_dataset(*args))
    # a step apart, so that the mean is as good as both
    other = shutil.copytree(folder, tmp_path / "other")
    file = other / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    state = content["state_dict"]
    weights = {name: value + 1e-7 if value.is_floating_point() else value for name, value in state.items()}
    torch.save({**content, "state_dict": weights | {name: state[name] for name in ("mean", "std")}}, file)
    out = tmp_path / "soup"
    code, printed, err = export(f"{folder}+{other}", "--soup", "--format", "safetensors", "--out", out)
    assert (code, err) == (0, "")
    expected = json.loads((folder / "metrics.json").read_text())["val/score"]
    assert printed.startswith(f"soup of 2 runs: {expected:.4f} on val, {expected:.4f} the best")
    # a data set may have to be downloaded
    assert calls[:2] == ["prepare_data", "make_dataset"]
    task, members = lightseg.load(out), [lightseg.load(run) for run in (folder, other)]
    for name, value in task.net.state_dict().items():
        first, second = (member.net.state_dict()[name].double() for member in members)
        assert torch.equal(value, ((first + second) / 2).to(value.dtype))
    card = (out / "README.md").read_text()
    assert f"**mIoU {expected:.4f}** on its val split" in card


def test_soup__worse_than_the_best_member_is_refused(folder, export, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    file = other / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    state = content["state_dict"]
    # the mean of a net and its negative predicts one class everywhere
    weights = {name: -value if name.endswith(("weight", "bias")) else value for name, value in state.items()}
    torch.save({**content, "state_dict": weights}, file)
    record = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(record | {"val/score": 0.99}))
    code, _, err = export(f"{folder}+{other}", "--soup", "--out", tmp_path / "soup")
    assert (code, err.count("\n")) == (1, 1)
    assert "on val, the best of the runs 0.9900; export that one" in err
    assert not (tmp_path / "soup").exists()


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        ("{0}+{1}", [], "RUN: an ensemble of 2 runs is no single graph; export each, or their mean weights (--soup)"),
        ("{0}", ["--soup", "--out", "x"], "--soup: averages several runs"),
        ("{0}+{1}", ["--soup"], "--soup: needs --out DIR"),
    ],
)
def test_soup__slips_are_one_line(folder, export, tmp_path, members, options, message):
    other = shutil.copytree(folder, tmp_path / "other")
    code, _, err = export(members.format(folder, other), *options)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
