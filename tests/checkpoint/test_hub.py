"""Download and upload with the real client of the Hugging Face Hub, against a fake one on loopback."""

import json
import socket

import pytest
import torch
import yaml

import lightseg
from lightseg.errors import RunError, UserError
from lightseg.export import main
from lightseg.exporting import push
from tests.helpers.fake_hub import TOKEN, FakeHub

# the client's own use of its HTTP library
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def service(monkeypatch, tmp_path):
    """Fake Hub with an account, and an empty cache."""
    from huggingface_hub import constants

    with FakeHub() as service:
        _point_to(monkeypatch, service.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        yield service
    assert service.unknown == []


def _point_to(monkeypatch, url):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def image():
    return torch.randint(0, 256, (2, 3, 37, 61), dtype=torch.uint8)


def test_push__what_is_loaded_again_gives_the_same_bits(trained, service, image):
    assert push.push(trained, "somebody/shapes", licence="mit") == "hf://somebody/shapes"
    files = service.repos["somebody/shapes"]["main"]
    assert set(files) == {"README.md", "config.json", "model.safetensors", "parity.json"}
    front = yaml.safe_load(files["README.md"].decode().split("---")[1])
    assert front["license"] == "mit"
    assert front["model-index"][0]["results"][0]["metrics"][0]["type"] == "mean_iou"
    assert json.loads(files["config.json"])["classes"][0] == "background"
    assert not (trained / "export").exists()
    assert torch.equal(lightseg.load("hf://somebody/shapes")(image), lightseg.load(trained)(image))


def test_push__tells_nothing_of_this_machine(trained, service):
    push.push(trained, "somebody/shapes")
    runs = str(trained.parent.parent)
    assert runs in (trained / "config.yaml").read_text()
    for name, content in service.repos["somebody/shapes"]["main"].items():
        assert runs.encode() not in content, name
    assert json.loads(service.repos["somebody/shapes"]["main"]["config.json"])["recipe"]["config"]["runs_dir"] == "runs"


def test_upload__only_what_the_card_is_about(trained, service, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(trained), "--format", "safetensors", "--images", "0", "--out", str(out)]) == 0
    (out / "model.onnx").write_bytes(b"of other weights")
    push.upload(out, "somebody/shapes")
    assert "model.onnx" not in service.repos["somebody/shapes"]["main"]


def test_push__private_and_again(trained, service):
    push.push(trained, "somebody/shapes", private=True)
    push.push(trained, "somebody/shapes", private=True)
    assert service.private == {"somebody/shapes"}


def test_export__push(trained, service, capsys):
    arguments = ["--format", "safetensors", "--images", "0", "--push", "somebody/shapes"]
    assert main([str(trained), *arguments]) == 0
    assert "pushed: hf://somebody/shapes" in capsys.readouterr().out
    assert "model.safetensors" in service.repos["somebody/shapes"]["main"]


def test_load__revision(trained, service, image):
    push.push(trained, "somebody/shapes")
    first = service.commit("somebody/shapes", {})
    service.commit("somebody/shapes", {"model.safetensors": b"something else"})
    assert lightseg.load(f"hf://somebody/shapes@{first}")(image).shape == (2, 6, 37, 61)
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        lightseg.load("hf://somebody/shapes")
    with pytest.raises(UserError, match="has no such branch, tag or commit"):
        lightseg.load("hf://somebody/shapes@nowhere")


def test_load__offline_comes_from_the_cache(trained, service, image, monkeypatch):
    from huggingface_hub import constants

    push.push(trained, "somebody/shapes")
    online = lightseg.load("hf://somebody/shapes")(image)
    request_count = len(service.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(lightseg.load("hf://somebody/shapes")(image), online)
    with pytest.raises(RunError, match="HF_HUB_OFFLINE is set, and the cache has no such model"):
        lightseg.load("hf://somebody/other")
    with pytest.raises(RunError, match="HF_HUB_OFFLINE is set"):
        push.push(trained, "somebody/shapes")
    assert len(service.requests) == request_count


def test_load__unreachable(service, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        _point_to(monkeypatch, f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(
            RunError, match=r"exchange with the Hub at http://127.0.0.1:\d+ failed .* nothing was loaded"
        ):
            lightseg.load("hf://somebody/shapes")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://somebody/nothing", "there is no such model, or it is private"),
        ("hf://somebody", "give hf://USER/REPO or"),
        ("hf://a/b/c", "give hf://USER/REPO or"),
        ("hf://somebody/-x-", "no name for a model"),
        ("hf://somebody/empty", "has no model.safetensors"),
    ],
)
def test_load__wrong_address(service, address, message):
    service.commit("somebody/empty", {"README.md": b"nothing"})
    with pytest.raises(UserError, match=message):
        lightseg.load(address)


def test_load__the_hub_is_broken(service):
    service.commit("somebody/shapes", {"model.safetensors": b""})
    service.fail = 418
    with pytest.raises(RunError, match="nothing was loaded"):
        lightseg.load("hf://somebody/shapes")


def test_push__no_token(trained, service, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="no token to push with; run `hf auth login`, or set HF_TOKEN"):
        push.push(trained, "somebody/shapes")
    assert service.requests == []


def test_push__wrong_token(trained, service):
    with pytest.raises(UserError, match="refuses the token|your token may not"):
        push.push(trained, "somebody/shapes", token="hf_wrong")
    assert service.repos == {}


def test_push__no_run(service, tmp_path):
    with pytest.raises(UserError, match="no run folder"):
        push.push(tmp_path, "somebody/shapes")
