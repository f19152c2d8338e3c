"""Low-rank adapters: their options, their merged weights, and trainings with them on the command line."""

import json
import re
import shutil
import signal

import onnxruntime
import pytest
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import lightseg
from lightseg import evaluate, export, predict
from lightseg.checkpoint.soup import average_weights
from lightseg.errors import ConfigError, UserError
from lightseg.nets import Segmenter, SmpNet, TimmNet
from lightseg.nets.lora import Lora, add_adapters, merge_state
from tests.conftest import ROOT, SEGMENTER, TINY
from tests.helpers.processes import DDP, wait_for_run
from tests.helpers.refusal import assert_refused
from tests.helpers.stateful_run import assert_same_run
from tests.helpers.train import train

extras = pytest.mark.extras

ADAPTED = """
    optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 1.0e-2}}
    lora: {rank: 2, alpha: 8, dropout: 0.1}
data:"""
VIT = SEGMENTER.replace("test_resnet", "test_vit").replace("\ndata:", ADAPTED)
SMALL = {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 8]}
LAYERS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("{rnak: 4}", "model.lora: no option 'rnak'; did you mean rank?"),
        ("{rank: 0}", "model.lora.rank: must be an integer of 1 or more, got 0"),
        ("{rank: 1.5}", "model.lora.rank: must be an integer of 1 or more, got 1.5"),
        ("{alpha: -1}", "model.lora.alpha: must be above 0, got -1"),
        ("{dropout: 1}", "model.lora.dropout: must be from 0 to below 1, got 1"),
        ("{targets: []}", "model.lora.targets: must be a list of names of layers"),
        ("{targets: [qvk]}", "of VisionTransformer that is trained has the name qvk; did you mean qkv?"),
        ("{targets: [qkv, conv]}", "has the name conv; there are fc1, fc2, proj, qkv"),
    ],
)
def test_fit__refuses_options(fit, recipe, options, words):
    assert_refused(fit("--config", recipe(VIT), "--model.lora", options), words)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (TINY, ["--model.lora", "{}"], "model.lora: UNet has no encoder; leave the option out"),
        (VIT, ["--model.freeze_stages", "1"], "model.freeze_stages: model.lora freezes all of the encoder"),
        (VIT, ["--model.freeze_encoder", "0.5"], "model.freeze_encoder: model.lora freezes all of the encoder"),
    ],
)
def test_fit__refuses_beside_others(fit, recipe, text, options, words):
    assert_refused(fit("--config", recipe(text), *options), words)


def test_fit__without_peft_names_the_extra(fit, recipe, tmp_path):
    assert_refused(fit("--config", recipe(VIT)), "model.lora: peft is not installed; pip install 'lightseg[lora]'")
    assert not (tmp_path / "runs").exists()


def test_merge_state__linear_and_convolution():
    state = {
        "a.base_layer.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "a.base_layer.bias": torch.tensor([7.0, 8.0, 9.0]),
        "a.lora_A.default.weight": torch.tensor([[1.0, -1.0]]),
        "a.lora_B.default.weight": torch.tensor([[2.0], [0.0], [1.0]]),
        "c.base_layer.weight": torch.tensor([[[[1.0]], [[2.0]]]]),
        "c.lora_A.default.weight": torch.tensor([[[[3.0]], [[4.0]]]]),
        "c.lora_B.default.weight": torch.tensor([[[[0.5]]]]),
        # as in the DLA nets
        "base_layer.0.weight": torch.tensor([1.0]),
        "e.base_layer.0.weight": torch.tensor([2.0]),
    }
    merged = merge_state(state, Lora(rank=1, alpha=3.0))
    expected = {
        "a.weight": torch.tensor([[7.0, -4.0], [3.0, 4.0], [8.0, 3.0]]),
        "a.bias": state["a.base_layer.bias"],
        "c.weight": torch.tensor([[[[5.5]], [[8.0]]]]),
        "base_layer.0.weight": state["base_layer.0.weight"],
        "e.base_layer.0.weight": state["e.base_layer.0.weight"],
    }
    assert merged.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in merged.items())


@pytest.mark.parametrize("shape", [(3, 4), (2, 2), ()])
def test_merge_state__adapter_of_another_shape_is_refused(shape):
    state = {
        "a.base_layer.weight": torch.zeros(3, 2),
        "a.lora_A.default.weight": torch.zeros(1, 2),
        "a.lora_B.default.weight": torch.zeros(shape),
    }
    with pytest.raises(ConfigError, match=r"^model.lora: the adapter of a does not fit the layer"):
        merge_state(state, Lora())


def test_add_adapters__rank_beyond_that_of_every_layer_is_refused():
    net = nn.ModuleDict({"encoder": nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 4))})
    with pytest.raises(ConfigError, match=r"^model.lora.rank: must be at most 4, the rank of the layers, got 5$"):
        add_adapters(net, Lora(rank=5, targets=("0", "1")))


@extras
@pytest.mark.parametrize(
    ("net", "options", "targets", "names"),
    [
        (TimmNet, {"encoder": "test_vit"}, Lora().targets, "qkv proj fc1 fc2"),
        (TimmNet, {"encoder": "test_vit"}, ("blocks.5.attn.qkv",), "qkv"),
        (Segmenter, {"encoder": "test_vit", "head": "fpn"}, Lora().targets, "qkv proj fc1 fc2"),
        (Segmenter, {"encoder": "convnext_atto", "head": "linear", "kwargs": SMALL}, Lora().targets, "fc1 fc2"),
        (Segmenter, {"encoder": "test_resnet", "head": "linear"}, ("conv1", "conv3"), "conv1 conv3"),
        (SmpNet, {"arch": "unet", "encoder": "tu-resnet26"}, ("conv1",), "conv1"),
        (SmpNet, {"arch": "segformer", "encoder": "mit_b0"}, ("q", "kv"), "q kv"),
    ],
)
def test_add_adapters__changes_no_output_and_trains_nothing_else(net, options, targets, names):
    net = net(3, **options).eval()
    images = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    before, names_before = net(images), {name for name, _ in net.named_parameters()}
    trained_before = {name for name, item in net.named_parameters() if item.requires_grad}
    layers = add_adapters(net, Lora(rank=2, targets=targets))
    assert {layer.rpartition(".")[2] for layer in layers} == {*names.split()}
    output = net(images)
    assert torch.equal(output, before)
    # a gradient is 0 behind a matrix of zeros, and behind the last normalization of a block of ResNet
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter)
    net(images).square().mean().backward()
    trained = {name: item for name, item in net.named_parameters() if item.requires_grad}
    adapters = {f"encoder.{layer}.lora_{part}.default.weight" for layer in layers for part in "AB"}
    assert trained.keys() == adapters | {name for name in trained_before if not name.startswith("encoder.")}
    assert all(item.grad is not None and item.grad.any() for item in trained.values())
    assert {name.replace(".base_layer.", ".") for name, _ in net.named_parameters()} - adapters == names_before


@extras
def test_fit__refuses_a_layer_that_is_not_called(fit, recipe):
    size = "{embed_dim: 8, depths: [1, 1, 1, 1], num_heads: [1, 1, 1, 1], img_size: 64, window_size: 2}"
    options = ["--model.net.encoder", "swinv2_tiny_window8_256", "--model.net.kwargs", size, "--data.image_size", "64"]
    outcome = fit("--config", recipe(VIT), *options)
    assert outcome.code == 2
    assert "model.lora.targets: the encoder reads the weights of layers.0.blocks.0.attn.qkv without" in outcome.err
    assert outcome.err.endswith("give targets without qkv\n")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of an encoder."""
    file = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(1)
        save_file(timm.create_model("test_vit").state_dict(), file)
    return file


@pytest.fixture(scope="module")
def trained(tmp_path_factory, weights):
    """Run that no test changes."""
    return train(tmp_path_factory.mktemp("trained"), VIT, "--model.net.encoder_weights", str(weights))


def _state(file):
    return torch.load(file, weights_only=True)["state_dict"]


@extras
@pytest.mark.parametrize("options", [[], ["--trainer.callbacks", "EMA"]], ids=["", "EMA"])
def test_fit__frozen_tensors_are_those_of_the_file(fit, recipe, weights, options):
    options = [*options, "--model.layer_decay", "0.5", "--model.net.encoder_weights", weights]
    outcome = fit("--config", recipe(VIT), *options)
    assert outcome.code == 0, outcome.err
    assert "; LoRA of rank 2 on 24 layers (0.0" in outcome.out
    assert "; layer_decay 0.5 over " in outcome.out
    last = torch.load(outcome.folder / "checkpoints/last.ckpt", weights_only=True)
    for state in (last["state_dict"], _state(outcome.folder / "checkpoints/best.ckpt")):
        for name, value in load_file(weights).items():
            layer, _, tensor = name.rpartition(".")
            name = f"{layer}.base_layer.{tensor}" if layer.endswith(LAYERS) else name
            assert name.startswith("head.") or torch.equal(state[f"net.encoder.{name}"], value), name
    assert all(value.any() for name, value in last["state_dict"].items() if ".lora_B." in name)
    groups = {group["name"]: group for group in last["optimizer_states"][0]["param_groups"]}
    head = [name for name, _ in lightseg.load(outcome.folder).net.named_parameters() if name.startswith("head.")]
    assert sum(len(group["params"]) for group in groups.values()) == 2 * 24 + len(head)
    assert all(moments["exp_avg"].any() for moments in last["optimizer_states"][0]["state"].values())
    assert groups["encoder_layer06"]["lr_factor"] == 4 * groups["encoder_layer04"]["lr_factor"] == 0.5
    config = yaml.safe_load((outcome.folder / "config.yaml").read_text())
    assert config["model"]["init_args"]["lora"] == {"rank": 2, "alpha": 8, "dropout": 0.1}


@extras
def test_fit__statistics_of_the_encoder_are_kept(fit, recipe):
    outcome = fit("--config", recipe(VIT), "--model.net.encoder", "test_resnet", "--model.lora", "{targets: [conv3]}")
    state = _state(outcome.folder / "checkpoints/last.ckpt")
    statistics = [value for name, value in state.items() if re.match(r"net\.encoder\..*\.running_mean", name)]
    assert statistics
    assert not any(value.any() for value in statistics)


@extras
def test_run__is_scored_loaded_and_predicted_as_trained(trained, call, tmp_path):
    code, out, err = call(evaluate.main, trained, "--split", "val")
    assert (code, err) == (0, "")
    assert "as in metrics.json" in out
    Image.new("RGB", (40, 33)).save(tmp_path / "image.png")
    assert call(predict.main, trained, tmp_path / "image.png", "--out", tmp_path / "masks")[0] == 0
    with Image.open(tmp_path / "masks/image.png") as mask:
        assert mask.size == (40, 33)


@extras
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["safetensors", "onnx"])
def test_export__merges_with_parity(trained, call, tmp_path, kind):
    code, _, err = call(export.main, trained, "--format", kind, "--out", tmp_path / "out")
    assert code == 0, err
    parity = json.loads((tmp_path / "out/parity.json").read_text())
    (record,) = parity.values()
    assert 0 < record["max_difference"] < 1e-5
    task, merged = lightseg.load(trained), lightseg.load(tmp_path / "out") if kind == "safetensors" else None
    image = torch.randint(0, 256, (1, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = task.probabilities(task(image))
        if merged is None:
            session = onnxruntime.InferenceSession(tmp_path / "out/model.onnx", providers=["CPUExecutionProvider"])
            actual = torch.from_numpy(session.run(["probabilities"], {"image": image.numpy()})[0])
        else:
            actual = merged.probabilities(merged(image))
            assert not any(".lora_" in name or ".base_layer." in name for name in merged.state_dict())
            assert merged.recipe["config"]["model"]["init_args"]["lora"] is None
            assert merged.recipe["lineage"]["lora"]["rank"] == task.adapters.lora.rank
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)
    assert "only low-rank adapters (LoRA)" in (tmp_path / "out/README.md").read_text()


SAVE_START = """
import pathlib
import lightning as L
import torch


class SaveStart(L.Callback):
    def setup(self, trainer, task, stage):
        torch.save(task.state_dict(), pathlib.Path(__file__).parent / "start.pt")
"""


@extras
@pytest.mark.parametrize("lora", ["null", "{rank: 1}"])
def test_init__takes_merged_weights(fit, recipe, trained, own_module, tmp_path, lora):
    own_module("save_start", SAVE_START)
    options = ["--model.init", trained, "--model.lora", lora, "--trainer.fast_dev_run", "1"]
    outcome = fit("--config", recipe(VIT), *options, "--trainer.callbacks", "save_start.SaveStart")
    assert outcome.code == 0, outcome.err
    state, start = _state(trained / "checkpoints/best.ckpt"), torch.load(tmp_path / "start.pt", weights_only=True)
    for layer in LAYERS:
        layer = f"net.encoder.blocks.3.{layer}"
        down, up = (state[f"{layer}.lora_{part}.default.weight"].double() for part in "AB")
        expected = state[f"{layer}.base_layer.weight"].double() + 4 * up @ down
        name = f"{layer}.weight" if lora == "null" else f"{layer}.base_layer.weight"
        torch.testing.assert_close(start[name].double(), expected, rtol=1e-6, atol=1e-8)
    head = {name: value for name, value in state.items() if name.startswith("net.head.") and value.is_floating_point()}
    assert head
    assert all(torch.equal(start[name], value) for name, value in head.items())
    assert "; left: " not in outcome.out
    assert "; new: " not in outcome.out


@pytest.fixture
def small(fit, recipe, trained, tmp_path):
    """Run whose checkpoints have adapters alone, and a copy of the run that it started from."""
    origin = shutil.copytree(trained, tmp_path / "origin")
    options = ["--model.lora.save", "adapters", "--model.init", origin, "--trainer.callbacks", "EMA"]
    outcome = fit("--config", recipe(VIT), *options)
    assert outcome.code == 0, outcome.err
    return outcome.folder, origin


@extras
def test_save_adapters__leaves_the_encoder_to_the_origin(small, trained, call, recipe, fit):
    folder, origin = small
    content = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)
    names = [name for name in content["state_dict"] if name.startswith("net.encoder.")]
    assert names
    assert all(".lora_" in name for name in names)
    assert (folder / "checkpoints/best.ckpt").stat().st_size < (trained / "checkpoints/best.ckpt").stat().st_size / 2
    state, before = lightseg.load(folder).state_dict(), _state(trained / "checkpoints/best.ckpt")
    layer = "net.encoder.blocks.3.attn.qkv"
    down, up = (before[f"{layer}.lora_{part}.default.weight"].double() for part in "AB")
    expected = before[f"{layer}.base_layer.weight"].double() + 4 * up @ down
    torch.testing.assert_close(state[f"{layer}.base_layer.weight"].double(), expected, rtol=1e-6, atol=1e-8)
    assert torch.equal(state["net.encoder.norm.weight"], before["net.encoder.norm.weight"])
    assert "as in metrics.json" in call(evaluate.main, folder, "--split", "val")[1]
    code, _, err = call(export.main, folder, "--format", "safetensors", "--out", folder / "out")
    assert code == 0, err
    assert fit("--config", recipe(VIT), "--model.init", folder, "--trainer.fast_dev_run", "1").code == 0
    longer = fit("--extend", folder, "--trainer.max_epochs", "3")
    assert longer.code == 0, longer.err
    assert "as in metrics.json" in call(evaluate.main, longer.folder, "--split", "val")[1]
    shutil.rmtree(origin)
    names = {name.replace(".base_layer.", ".") for name in state if ".lora_" not in name}
    assert lightseg.load(folder / "out").state_dict().keys() == names
    with pytest.raises(UserError, match=r"leaves the weights of its encoder to .*best.ckpt, which is not there"):
        lightseg.load(folder)


@extras
def test_save_adapters__needs_the_same_origin(small, trained):
    folder, origin = small
    shutil.copy(origin / "checkpoints/last.ckpt", origin / "checkpoints/best.ckpt")
    with pytest.raises(UserError, match="which is not there or another file now; bring it back"):
        lightseg.load(folder)


@extras
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tensors": ["net.encoder.nothing"]}, "leaves weights to .* that it does not have"),
        ({"tensors": []}, "does not fit the net of its recipe"),
        ({"sha256": "x"}, "shared.sha256"),
        ({"file": "/dev/zero"}, "leaves the weights of its encoder to /dev/zero, which is not there"),
        ({"code": "x"}, "shared.code"),
    ],
    ids=str,
)
def test_save_adapters__refuses_a_damaged_record(small, change, message):
    file = small[0] / "checkpoints/best.ckpt"
    content = torch.load(file, weights_only=True)
    content["lightseg"]["shared"] |= change
    torch.save(content, file)
    with pytest.raises(UserError, match=message):
        lightseg.load(file)


@extras
def test_save_adapters__needs_weights_to_start_from(fit, recipe):
    outcome = fit("--config", recipe(VIT), "--model.lora.save", "adapters")
    assert_refused(outcome, "model.lora.save: adapters: the other weights are those of model.init; give it too")


@extras
def test_encoder_weights__refuses_a_checkpoint_with_adapters(fit, recipe, trained):
    file = trained / "checkpoints/best.ckpt"
    outcome = fit("--config", recipe(VIT), "--model.net.encoder_weights", file)
    assert_refused(outcome, f"{file}: has adapters beside its weights; take model.init, or an export")


@extras
def test_average_weights__mean_of_the_merged_weights(trained):
    tasks = [lightseg.load(trained) for _ in range(2)]
    with torch.no_grad():
        for name, parameter in tasks[1].named_parameters():
            if ".lora_" in name:
                parameter.neg_() if ".lora_A." in name else parameter.mul_(2)
    name = "net.encoder.blocks.0.attn.qkv"
    state = tasks[0].state_dict()
    update = 4 * state[f"{name}.lora_B.default.weight"] @ state[f"{name}.lora_A.default.weight"]
    soup = average_weights(tasks, ["a", "b"])
    expected = state[f"{name}.base_layer.weight"] + (update - 2 * update) / 2
    torch.testing.assert_close(soup.state_dict()[f"{name}.weight"], expected)


@extras
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 10**9}, "model.lora.rank: must be at most 64, the rank of the layers"),
        ({"rank": 3}, "does not fit the net of its recipe"),
        ({"rank": 2, "targets": ["qkv"]}, "does not fit the net of its recipe"),
        ({"rank": 2, "targets": ["nowhere"]}, "model.lora.targets: no linear layer"),
        ({"rank": "2"}, "model.lora.rank: must be an integer"),
        ({"rank": 2, "init": "x"}, "model.lora: no option 'init'"),
        ([2], "lora"),
        (None, "does not fit the net of its recipe"),
    ],
    ids=str,
)
def test_load__refuses_other_options_than_those_of_the_weights(trained, tmp_path, options, message):
    content = torch.load(trained / "checkpoints/best.ckpt", weights_only=True)
    content["lightseg"]["config"]["model"]["init_args"]["lora"] = options
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=message):
        lightseg.load(tmp_path / "x.ckpt")


@extras
@pytest.mark.slow
@pytest.mark.parametrize("save", ["all", "adapters"])
def test_resume__after_a_kill_gives_what_the_whole_run_gives(launch, recipe, own_module, trained, tmp_path, save):
    own_module("crash", (ROOT / "tests/helpers/crash_callback.py").read_text())
    options = ["--config", recipe(VIT), "--model.init", trained, "--model.lora.save", save]
    callbacks = "[{class_path: EMA}, {class_path: crash.Crash}]"
    options += ["--trainer.callbacks", callbacks, "--trainer.max_epochs", "3", "--save_every_n_steps", "1"]
    reference = wait_for_run(launch(*options))
    killed = launch(*options, CRASH="on_before_backward:4", CRASH_BY="kill")
    assert killed.wait() == -signal.SIGKILL
    (folder,) = (folder for folder in (tmp_path / "runs/tiny").iterdir() if folder != reference)
    assert wait_for_run(launch("--resume", folder)) == folder
    assert_same_run(folder, reference)


@extras
@pytest.mark.slow
def test_fit__two_processes(launch, recipe, weights):
    folder = wait_for_run(launch("--config", recipe(VIT), "--model.net.encoder_weights", weights, *DDP))
    state = _state(folder / "checkpoints/last.ckpt")
    assert all(value.any() for name, value in state.items() if ".lora_B." in name)
