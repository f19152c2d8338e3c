"""Damaged checkpoints and run folders: one line that names the file and the key."""

import copy
import json
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import lightseg
from lightseg import compare, diff
from lightseg.errors import UserError
from tests.comparison.fabricate import config, write_run
from tests.inference.models import write_checkpoint

ESCAPES = "\x1b[2Jsky\x9b31m\u202egnp\x07\r"


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return torch.load(write_checkpoint(tmp_path_factory.mktemp("clean") / "x.ckpt"), weights_only=True)


@pytest.fixture
def refused(clean, tmp_path):
    """Load the clean checkpoint with some of it changed; what is said."""

    def load(changes=(), drop=None):
        content = copy.deepcopy(clean)
        for keys, value in dict(changes).items():
            *above, last = keys.split("/")
            place = content
            for key in above:
                place = place[key]
            place[last] = value
        content.pop(drop, None)
        torch.save(content, tmp_path / "bad.ckpt")
        with pytest.raises(UserError) as caught:
            lightseg.load(tmp_path / "bad.ckpt")
        message = str(caught.value)
        assert "bad.ckpt" in message
        assert "\n" not in message
        return message

    return load


OPTIONS = "lightseg/config/model/init_args"
HUGE = {"class_path": "albumentations.Resize", "init_args": {"height": 10**9, "width": 8}}
LARGE = {"class_path": "albumentations.Resize", "init_args": {"height": 2**14, "width": 2**14}}
ANY_LARGE = {"class_path": "albumentations.Compose", "init_args": {"transforms": [LARGE]}}
PADDED = {"class_path": "albumentations.PadIfNeeded", "init_args": {"min_height": 8, "min_width": 10**9}}
TILED = {"class_path": "albumentations.CLAHE", "init_args": {"tile_grid_size": [8, 10**6]}}
GRAY = {"class_path": "albumentations.ToGray"}
ANY_HUGE = {"class_path": "albumentations.OneOf", "init_args": {"transforms": [HUGE]}}


def _with_attribute():
    tensor = torch.zeros(3)
    tensor.numel = 5
    return tensor


@pytest.mark.parametrize("value", [None, 5, "x", [], {}])
@pytest.mark.parametrize("key", ["config", "config/model", "config/model/init_args", "config/model/init_args/net"])
def test_load__a_section_of_the_recipe_is_something_else(refused, key, value):
    message = refused({f"lightseg/{key}": value})
    assert f"lightseg.{key.replace('/', '.')}" in message


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lightseg/classes", 3, "lightseg.classes: "),
        ("lightseg/classes", [], "lightseg.classes: "),
        ("lightseg/classes", ["a", 5, "c"], "lightseg.classes.1: "),
        ("lightseg/classes", ["a", "b"], "palette: one RGB colour for each of 2 classes"),
        ("lightseg/in_channels", "3", "lightseg.in_channels: "),
        ("lightseg/in_channels", 10**9, "lightseg.in_channels: "),
        ("lightseg/palette", [[1, 2]] * 3, "palette: one RGB colour"),
        ("lightseg/palette", 5, "lightseg.palette: "),
        ("lightseg/resolved", {"mean": [0.5], "std": [0.5]}, "resolved.mean: one number for each of 3 channels"),
        ("lightseg/resolved", {"mean": [float("nan")] * 3}, "lightseg.resolved.mean.0: "),
        ("lightseg/resolved", {"std": [0.2, 5e-324, 0.2]}, "lightseg.resolved.std.1: "),
        ("lightseg/image_values", [5, 1, None], "image_values: the least value comes first"),
        ("lightseg/image_values", [None, 1, None], "image_values.ranges.0.0: "),
        ("lightseg/image_values", {"ranges": [[5, 1]]}, "image_values: the least value comes first"),
        ("lightseg/image_values", {"ranges": [[0, 1]] * 2}, "image_values.ranges: one for each of 3 channels"),
        ("lightseg/image_values", {"fill": [0.5]}, "image_values.fill: one for each of 3 channels"),
        ("lightseg/image_values", {"bands": [0, 1, 2]}, "image_values.bands.0: "),
        ("lightseg/image_values", {"other": 1}, "image_values.other: "),
        ("lightseg/resolved", {"optimizer": 1}, "lightseg.resolved.optimizer: "),
        ("lightseg/config/data", {"class_path": 1}, "lightseg.config.data.class_path: "),
        ("lightseg/config/trainer", [1], "lightseg.config.trainer: "),
        ("lightseg/config/x", torch.zeros(2), "holds a Tensor, which is no plain data"),
        ("lightseg/format_version", [1], "has format"),
        ("lightseg/format_version", torch.tensor([1, 2]), "has format of type Tensor"),
        ("lightseg/format_version", 10**400, "has format of type int"),
        ("lightseg/config/x", 10**400, "holds a number of 1329 bits"),
        ("lightseg/config/data/init_args", {"eval_transforms": [HUGE]}, "height is a number up to 16384"),
        ("lightseg/config/data/init_args", {"eval_transforms": [ANY_HUGE]}, "height is a number up to 16384"),
        ("lightseg/config/data/init_args", {"eval_transforms": [ANY_LARGE]}, "an image has up to 67108864 pixels"),
        ("lightseg/config/data/init_args", {"eval_transforms": [PADDED]}, "min_width is a number up to 16384"),
        ("lightseg/config/data/init_args", {"eval_transforms": [TILED]}, "tile_grid_size is a number up to 256"),
        ("lightseg/config/data/init_args", {"eval_transforms": [GRAY] * 33}, "at most 32 items"),
        ("lightseg/config/data/init_args", {"value_range": "x"}, "lightseg.config.data.init_args.value_range: "),
        (f"{OPTIONS}/net/init_args/width", 10**6, "net.width: 1000000 is more than 65536"),
        (f"{OPTIONS}/net/init_args/width", 1e300, "net.width: "),
        (f"{OPTIONS}/net/init_args/width", 60_000, "it needs more memory than the weights in the file"),
        (f"{OPTIONS}/net/init_args/width", 8, "does not fit the net of its recipe"),
        (f"{OPTIONS}/net/init_args/width", -1, "UNet needs a depth and a width of 1 or more"),
        (f"{OPTIONS}/net/init_args/width", "x", "net"),
        (f"{OPTIONS}/net/init_args/depth", 30, "net: "),
        (f"{OPTIONS}/net/init_args/depth", 60_000, "net: "),
        (f"{OPTIONS}/net/init_args/norm", "evil", "UNet has no norm"),
        (f"{OPTIONS}/loss", "evil", "cannot be loaded again"),
        ("temperature", 0, "temperature: "),
        ("temperature", -1.0, "temperature: "),
        ("temperature", torch.tensor(1.0), "temperature"),
        ("temperature", 5e-324, "temperature: "),
        ("temperature", "x", "temperature: "),
        ("temperature", float("nan"), "temperature: "),
        ("temperature", float("inf"), "temperature: "),
        ("state_dict", 5, "state_dict: "),
        ("state_dict", {1: torch.zeros(1)}, "state_dict: "),
        ("state_dict/net.head.bias", 5, "state_dict.net.head.bias: is no plain tensor"),
        ("state_dict/net.head.bias", _with_attribute(), "state_dict.net.head.bias: is a tensor with attributes"),
        ("state_dict/net.head.bias", torch.zeros(3).to(torch.float8_e4m3fn), "is of torch.float8_e4m3fn, which no net"),
        ("state_dict/net.head.bias", torch.full((3,), torch.nan), "state_dict.net.head.bias: holds NaN or infinity"),
        ("state_dict/net.head.bias", torch.zeros(3, dtype=torch.complex64), "1 have another shape"),
        ("state_dict/x", torch.zeros(1).expand(2**40), "state_dict.x: has the shape (1099511627776,) without"),
    ],
)
def test_load__a_value_that_is_not_possible(refused, key, value, message):
    assert message in refused({key: value})


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
def test_load__weights_of_another_layout(refused):
    message = refused({"state_dict/net.head.bias": torch.zeros(3).to_sparse()})
    assert "state_dict.net.head.bias: is no plain tensor" in message


def test_load__a_negative_variance(tmp_path):
    content = torch.load(write_checkpoint(tmp_path / "x.ckpt"), weights_only=True)
    name = next(name for name in content["state_dict"] if name.endswith("running_var"))
    content["state_dict"][name][0] = -1
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=rf"x.ckpt: state_dict.{name}: holds a negative variance"):
        lightseg.load(tmp_path / "x.ckpt")


def test_load__without_weights(refused):
    assert "state_dict: names of weights and their tensors are expected" in refused(drop="state_dict")


def test_load__a_recipe_without_end(refused):
    deep = {}
    for _ in range(200):
        deep = {"x": deep}
    assert "64 levels" in refused({"lightseg/config/x": deep})


@pytest.mark.parametrize("net", ["FCN", "SmpNet"])
def test_load__layers_without_end(refused, net):
    kwargs = {"layers": [60_000, 2, 2, 2]} if net == "FCN" else {"decoder_channels": [60_000] * 5}
    encoder = "resnet10t" if net == "FCN" else "resnet18"
    options = {"encoder": encoder, "kwargs": kwargs}
    message = refused({f"{OPTIONS}/net": {"class_path": f"lightseg.nets.{net}", "init_args": options}})
    assert "net" in message


def test_load__a_zip_bomb(clean, tmp_path):
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(2**26))
    with pytest.raises(UserError, match=r"bomb.ckpt: damaged or not a checkpoint \(it is compressed"):
        lightseg.load(path)


def test_load__a_header_that_claims_what_is_not_there(tmp_path):
    path = tmp_path / "model.safetensors"
    header = json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(UserError, match="model.safetensors: damaged or not a checkpoint"):
        lightseg.load(path)


@pytest.mark.parametrize("temperature", ["0", "x", "nan", "-inf"])
def test_load__temperature_of_safetensors(clean, tmp_path, temperature):
    state = {name: value.contiguous() for name, value in clean["state_dict"].items()}
    texts = {"recipe": json.dumps(clean["lightseg"]), "temperature": temperature}
    save_file(state, tmp_path / "model.safetensors", texts)
    with pytest.raises(UserError, match="model.safetensors: "):
        lightseg.load(tmp_path / "model.safetensors")


def test_load__deep_json_in_safetensors(clean, tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors", {"recipe": "[" * 100_000})
    with pytest.raises(UserError, match="model.safetensors: damaged or not a checkpoint"):
        lightseg.load(tmp_path / "model.safetensors")


def test_load__metadata_of_the_weights_are_left_behind(clean, tmp_path):
    content = copy.deepcopy(clean)
    content["state_dict"]._metadata = 5
    torch.save(content, tmp_path / "x.ckpt")
    assert torch.load(tmp_path / "x.ckpt", weights_only=True)["state_dict"]._metadata == 5
    assert not lightseg.load(tmp_path / "x.ckpt").training


def test_load__deep_json_in_the_calibration(tmp_path):
    write_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    (tmp_path / "calibration.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"calibration\.json: is damaged"):
        lightseg.load(tmp_path)


@pytest.mark.parametrize("data", [None, {"class_path": "lightseg.data.Shapes", "init_args": None}])
def test_predict__a_recipe_without_options_of_the_data(clean, data, tmp_path):
    content = copy.deepcopy(clean)
    content["lightseg"]["config"]["data"] = data
    torch.save(content, tmp_path / "x.ckpt")
    image = np.zeros((8, 12, 3), np.uint8)
    assert lightseg.load(tmp_path / "x.ckpt").predict(image).shape == (8, 12)


def test_load__class_names_are_printable(clean, tmp_path):
    content = copy.deepcopy(clean)
    content["lightseg"]["classes"] = [ESCAPES, "b", "c"]
    torch.save(content, tmp_path / "x.ckpt")
    name = lightseg.load(tmp_path / "x.ckpt").classes[0]
    assert name == "\\x1b[2Jsky\\x9b31m\\u202egnp\\x07\\r"


# ---- run folders ---------------------------------------------------------------------------------------------------

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

MERGES = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
SELF_MERGES = "a: &a {x: 1, b: &b {<<: [*a, *a, *a], c: &c {<<: [*b, *b, *b]}}}\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", "data: 5\nseed_everything: 0"),
        ("config.yaml", "data: {class_path: 5}\nseed_everything: 0"),
        ("config.yaml", "data: {class_path: a.B}\nseed_everything: x"),
        ("config.yaml", "data: {class_path: a.B, init_args: 5}\nseed_everything: 0"),
        ("config.yaml", "!!python/object/apply:os.system ['touch PWNED']"),
        ("config.yaml", BOMB),
        ("config.yaml", MERGES),
        ("config.yaml", SELF_MERGES),
        pytest.param("config.yaml", f"data: {{class_path: a.B}}\nseed_everything: 0\nx: {'y' * 2**20}", id="long"),
        ("config.yaml", "data: {class_path: a.B, init_args: {folds: 1000000000000}}\nseed_everything: 0"),
        ("config.yaml", f"data: {{class_path: a.B}}\nseed_everything: 0\nx: {10**400}"),
        ("config.yaml", "[" * 5000),
        ("config.yaml", "\x00\x01"),
        ("config.yaml", "trainer: 5\ndata: {class_path: a.B}\nseed_everything: 0"),
        ("metrics.json", '{"train/seconds": "x"}'),
        ("metrics.json", '{"train/seconds": 1, "test/score": Infinity}'),
        ("metrics.json", "[" * 100_000),
        ("model.json", '{"parameters": "x", "gflops": 1}'),
        ("model.json", '{"parameters": 1, "gflops": 1, "input": 5}'),
        ("env.json", '{"packages": 5}'),
        ("env.json", '{"gpus": [5]}'),
        ("data.json", '{"test": 5}'),
        ("data.json", '{"test": {"samples": -5}}'),
    ],
)
@pytest.mark.parametrize("verb", [compare, diff])
def test_verbs__a_damaged_record_is_named(verb, name, content, tmp_path, call):
    good, bad = (write_run(tmp_path / "runs" / each) for each in ("good", "bad"))
    (bad / name).write_text(content)
    code, _, err = call(verb.main, good, bad)
    if verb is diff and name == "metrics.json":
        assert code == 0
        return
    assert code == 2
    assert str(bad / name) in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "PWNED").exists()


NETS = ({"class_path": 5}, {"class_path": "x", "init_args": [1]}, {"class_path": "x", "dict_kwargs": 5})


@pytest.mark.parametrize("verb", [compare, diff])
@pytest.mark.parametrize("net", NETS)
def test_verbs__a_net_of_no_form_is_a_value_like_others(verb, net, tmp_path, call):
    good, bad = config(), config()
    bad["model"]["init_args"]["net"] = net
    code, out, _ = call(
        verb.main, *(write_run(tmp_path / name, net_config) for name, net_config in (("a", good), ("b", bad)))
    )
    assert code == 0
    assert "net" in out


def test_compare__data_without_a_hash_and_a_number_beyond_all(tmp_path, call):
    runs = [write_run(tmp_path / name) for name in "ab"]
    (runs[1] / "data.json").write_text('{"train": {"samples": 3}, "test": {"samples": 40}}')
    with (runs[1] / "metrics.jsonl").open("a") as file:
        file.write(f'{{"step": 3, "train/images_per_s": {10**400}}}\n')
    code, _, err = call(compare.main, *runs)
    assert (code, err) == (0, "")


def test_diff__a_line_of_many_names_is_read_once(tmp_path, call):
    runs = [write_run(tmp_path / name) for name in "ab"]
    for run in runs:
        (run / "git.json").write_text('{"commit": "1"}')
    # looked at once for each of its names, it would take hours
    (runs[0] / "git.diff").write_text("diff --git a/" + " b/x" * 1_000_000)
    (runs[1] / "git.diff").write_text("diff --git a/net.py b/net.py\n+1\ndiff --git a/README b/README\n+1\n")
    code, out, _ = call(diff.main, *runs)
    assert code == 0
    assert "uncommitted changes: net.py\n" in out


def test_compare__counts_of_no_classes(tmp_path, call):
    runs = [write_run(tmp_path / name) for name in "ab"]
    for run in runs:
        path = run / "per_image_test.npz"
        with np.load(path) as file:
            content = dict(file)
        nothing = {"classes": np.array([], str), "rows": np.zeros((0, 5), np.int64)}
        np.savez_compressed(path, **{**content, **nothing})
    code, _, err = call(compare.main, *runs)
    assert code == 2
    assert f"{runs[0] / 'per_image_test.npz'}: is damaged (it has no classes)" in err


LINES = ("x", "[]", '{"epoch": 1}', '{"step": "x"}', '{"step": 1, "a": {}}')


@pytest.mark.parametrize("content", [None, *(f"{line}\n" for line in LINES)])
def test_compare__a_damaged_log_is_named(content, tmp_path, call):
    good, bad = (write_run(tmp_path / "runs" / each) for each in ("good", "bad"))
    log = bad / "metrics.jsonl"
    log.unlink()
    if content is not None:
        log.write_text(content)
    code, _, err = call(compare.main, good, bad)
    assert code == 2
    assert str(log) in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", np.array([[-1, 0, 1, 1, 1]])),
        ("rows", np.array([[0, 9, 1, 1, 1]])),
        ("rows", np.array([[10**12, 0, 1, 1, 1]])),
        ("rows", np.array([[0, 0, -1, 1, 1]])),
        ("rows", np.array([[0, 0, 2, 1, 1]])),
        ("rows", np.array([[0, 0, 2**60, 2**60, 2**60]])),
        ("rows", np.zeros((4, 3), np.int64)),
        ("rows", np.zeros((4, 5))),
        ("rows", np.array([{"a": 1}], object)),
        ("indices", np.array([0])),
        ("images", np.array(5)),
        ("classes", np.array([], str)),
        ("facts", np.array("{}")),
        ("facts", np.array('{"kind": "evil", "split": "test", "data": "", "protocol": ""}')),
        ("facts", np.array("[" * 100_000)),
    ],
)
def test_compare__counts_that_are_not_possible(name, value, tmp_path, call):
    good, bad = (write_run(tmp_path / "runs" / each) for each in ("good", "bad"))
    path = bad / "per_image_test.npz"
    with np.load(path) as file:
        content = dict(file)
    np.savez_compressed(path, **{**content, name: value})
    code, _, err = call(compare.main, good, bad)
    assert code == 2
    assert str(path) in err
    assert len(err.splitlines()) == 1


def test_compare__the_root_of_all_folders_is_too_much(call, monkeypatch):
    monkeypatch.setattr("lightseg.runs.read._FOLDERS", 200)
    code, _, err = call(compare.main, "/")
    assert code == 2
    assert "/: holds more than 200 folders; name the folder that your runs are in" in err


def test_verbs__text_of_files_is_shown_and_not_obeyed(tmp_path, call):
    nasty = "<img src=x onerror=alert(1)>[red]"
    classes = (ESCAPES, nasty, "car")
    facts = {"classes": classes, "images": [f"{nasty}{ESCAPES}{index}" for index in range(40)]}
    runs = [
        write_run(tmp_path / "runs" / str(width), config(model__net__width=width, model__loss=nasty + ESCAPES), **facts)
        for width in (4, 8)
    ]
    page = tmp_path / "page.html"
    code, out, err = call(compare.main, *runs, "--html", page)
    assert (code, err) == (0, "")
    assert nasty in "".join(out.split("\n")).replace("  ", "") or "[red]" in out
    assert "\\x1b[2Jsky" in out
    text = page.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    code, other, err = call(diff.main, *runs)
    assert code == 0
    for output in (out, other, err, text):
        assert not set(output) & set("\x1b\x9b\u202e\x07\r")


@pytest.mark.parametrize("place", ["x" * 5000, "a/" * 2500])
def test_compare__a_path_of_thousands_of_characters(place, call):
    code, _, err = call(compare.main, place)
    assert code == 2
    assert len(err.splitlines()) == 1
