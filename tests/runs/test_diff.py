import json

import pytest
import yaml

from lightseg.errors import UserError
from lightseg.runs.diff import (
    Difference,
    count_unsynced_processes,
    describe_code_changes,
    diff_runs,
    differences,
    format_change,
)

UNET = {"class_path": "lightseg.nets.UNet", "init_args": {"width": 16, "depth": 3, "dropout": 0.0}}
RECIPE = {
    "seed_everything": 0,
    "trainer": {"precision": None, "devices": 1, "logger": None, "callbacks": None},
    "model": {"class_path": "lightseg.tasks.SegmentationTask", "init_args": {"net": UNET, "compile": False}},
    "data": {"class_path": "lightseg.data.CamVid", "init_args": {"root": "data", "num_workers": 0, "batch_size": 8}},
    "runs_dir": "runs",
    "name": "unet",
    "group": None,
    "resume": None,
}
DATA = {"train": {"samples": 367, "sha256": "a"}, "val": {"samples": 101, "sha256": "b"}}
ENVIRONMENT = {
    "python": "3.11.7",
    "platform": "Linux",
    "executable": "/a",
    "time": 1.0,
    "job": None,
    "import_path": ["/a"],
    "packages": {"lightseg": "0.1.0", "torch": "2.15.0", "wandb": "0.31.0"},
    "cuda": None,
    "gpus": [],
    "cpu_count": 2,
    "torch_threads": 2,
    "cpu_capability": "AVX512",
    "onednn_max_cpu_isa": None,
}
GIT = {"commit": "0123456789abcdef", "dirty": False, "untracked": []}
DIFF = """diff --git a/net.py b/net.py
index 1..2
--- a/net.py
+++ b/net.py
-width = 3
+width = 4
diff --git a/README.md b/README.md
index 1..2
+more
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that writes a run folder with changed values in its records."""

    def write(name, recipe=(), data=(), environment=(), git=(), diff=""):
        folder = tmp_path / name
        folder.mkdir()
        config = json.loads(json.dumps(RECIPE))
        for key, value in dict(recipe).items():
            *above, last = key.split(".")
            place = config
            for word in above:
                place = place[word]
            place[last] = value
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        (folder / "data.json").write_text(json.dumps({**DATA, **dict(data)}))
        (folder / "env.json").write_text(json.dumps({**ENVIRONMENT, **dict(environment)}))
        (folder / "git.json").write_text(json.dumps({**GIT, **dict(git)}))
        if diff:
            (folder / "git.diff").write_text(diff)
        return folder

    return write


@pytest.mark.parametrize(
    ("key", "value", "effect", "text"),
    [
        ("seed_everything", 1, "affects metric", "seed_everything: 0 -> 1"),
        ("trainer.precision", "bf16-mixed", "affects metric", "trainer.precision: 32-true -> bf16-mixed"),
        ("data.init_args.batch_size", 16, "affects metric", "data.batch_size: 8 -> 16"),
        ("model.init_args.net.init_args.width", 32, "affects metric", "model.net.width: 16 -> 32"),
        ("trainer.devices", 2, "affects metric", "trainer.devices: 1 -> 2"),
        ("trainer.devices", "auto", "affects speed", "trainer.devices: 1 -> auto"),
        ("trainer.strategy", "ddp", "affects speed", "trainer.strategy: null -> ddp"),
        ("trainer.sync_batchnorm", True, "affects speed", "trainer.sync_batchnorm: null -> true"),
        ("data.init_args.num_workers", 4, "affects speed", "data.num_workers: 0 -> 4"),
        ("model.init_args.compile", True, "affects speed", "model.compile: false -> true"),
        ("data.init_args.root", "/elsewhere", "cosmetic", "data.root: data -> /elsewhere"),
        ("data.init_args.table", "/elsewhere.csv", "cosmetic", "data.table: null -> /elsewhere.csv"),
        ("data.init_args.download", True, "cosmetic", "data.download: null -> true"),
        ("name", "tuned", "cosmetic", "name: unet -> tuned"),
        ("group", "night", "cosmetic", "group: null -> night"),
        (
            "trainer.logger",
            [{"class_path": "lightseg.loggers.Wandb", "init_args": {"project": "p"}}],
            "cosmetic",
            "trainer.logger: null -> [Wandb(project=p)]",
        ),
    ],
)
def test_diff_runs__a_setting(run, key, value, effect, text):
    assert diff_runs(run("a"), run("b", recipe={key: value})) == ([Difference(effect, "recipe", text)], [])


@pytest.mark.parametrize(
    ("trainer", "gpus", "expected"),
    [
        ({}, 0, 1),
        ({}, 4, 4),
        ({"accelerator": "cpu"}, 4, 1),
        ({"devices": -1}, 2, 2),
        ({"devices": "2"}, 8, 2),
        ({"devices": [3]}, 8, 1),
        ({"devices": "0,2,3"}, 8, 3),
        ({"devices": "3,"}, 8, 1),
        ({"devices": 2, "num_nodes": 3}, 0, 6),
        ({"devices": 2, "num_nodes": 3, "sync_batchnorm": True}, 2, 1),
    ],
)
def test_count_unsynced_processes__of_devices_and_nodes(trainer, gpus, expected):
    assert count_unsynced_processes({"trainer": trainer}, {"gpus": ["H200"] * gpus}) == expected


def test_diff_runs__processes_whose_batch_norm_is_synchronised_affect_speed(run):
    a, b = (run(f"{n}", recipe={"trainer.devices": n, "trainer.sync_batchnorm": True}) for n in (1, 8))
    assert diff_runs(a, b) == ([Difference("affects speed", "recipe", "trainer.devices: 1 -> 8")], [])


def test_diff_runs__code_that_is_not_under_git_is_reported(run):
    a, b = (run(name, git={"commit": None}) for name in "ab")
    assert diff_runs(a, b) == ([], [f"the code of {a} and {b} is not under git: not compared"])


def test_describe_code_changes__code_and_packages_between_the_first_and_each_other(run):
    packages = {**ENVIRONMENT["packages"], "torch": "9.0", "wandb": "9.0"}
    runs = [run("a"), run("b", git={"commit": "f" * 40}), run("c", environment={"packages": packages, "cpu_count": 8})]
    assert describe_code_changes(runs) == "commit: 0123456789 -> ffffffffff, torch: 2.15.0 -> 9.0"
    assert describe_code_changes(runs[:1]) == describe_code_changes([runs[0], run("d", recipe={"name": "tuned"})]) == ""


def test_diff_runs__values_without_effect(run):
    a = run("a")
    environment = {"time": 2.0, "job": "slurm-1", "executable": "/b", "import_path": ["/b"]}
    recipe = {"runs_dir": "elsewhere", "resume": "elsewhere/unet/1", "data.init_args.batch_size": 8.0}
    b = run("b", recipe=recipe, environment=environment, git={"untracked": ["my_data/1.png", "recipe.yaml"]})
    assert diff_runs(a, b) == ([], [])


@pytest.mark.parametrize(
    ("records", "effect", "area", "text"),
    [
        ({"data": {"train": {"samples": 367, "sha256": "c"}}}, "metric", "data", "train: other content (367 samples)"),
        ({"data": {"val": {"samples": 90, "sha256": "c"}}}, "metric", "data", "val: 101 -> 90 samples"),
        ({"data": {"test": {"samples": 5, "sha256": "c"}}}, "metric", "data", "test: 0 -> 5 samples"),
        ({"git": {"commit": "fedcba9876543210"}}, "metric", "code", "commit: 0123456789 -> fedcba9876"),
        ({"git": {"commit": None}}, "metric", "code", "commit: 0123456789 -> none"),
        ({"diff": DIFF}, "metric", "code", "uncommitted changes: net.py"),
        ({"git": {"untracked": ["a.png", "my_net.py"]}}, "metric", "code", "untracked, in one of them only: my_net.py"),
        ({"environment": {"gpus": ["H200"]}}, "speed", "hardware", "gpus: [] -> [H200]"),
        ({"environment": {"cpu_count": 8}}, "speed", "hardware", "cpu_count: 2 -> 8"),
        ({"environment": {"torch_threads": 1}}, "digits", "hardware", "torch_threads: 2 -> 1"),
        ({"environment": {"cpu_capability": "AVX2"}}, "digits", "hardware", "cpu_capability: AVX512 -> AVX2"),
        ({"environment": {"onednn_max_cpu_isa": "AVX2"}}, "digits", "hardware", "onednn_max_cpu_isa: null -> AVX2"),
        ({"environment": {"python": "3.12.1"}}, "speed", "environment", "python: 3.11.7 -> 3.12.1"),
        ({"environment": {"cuda": "13.0"}}, "metric", "environment", "cuda: null -> 13.0"),
    ],
    ids=lambda value: value if isinstance(value, str) and ":" in value else "",
)
def test_diff_runs__a_record(run, records, effect, area, text):
    assert diff_runs(run("a"), run("b", **records)) == ([Difference(f"affects {effect}", area, text)], [])


@pytest.mark.parametrize(("accelerator", "effect"), [("auto", "speed"), ("gpu", "speed"), ("cpu", "digits")])
def test_diff_runs__threads_of_a_run_on_gpus_affect_its_speed(run, accelerator, effect):
    recipe = {"trainer.accelerator": accelerator}
    a, b = (run(name, recipe, environment={"gpus": ["H200"], "torch_threads": n}) for name, n in (("a", 2), ("b", 4)))
    assert diff_runs(a, b)[0] == [Difference(f"affects {effect}", "hardware", "torch_threads: 2 -> 4")]


def test_diff_runs__kernels_that_an_older_version_did_not_record_are_not_compared(run):
    a, b = run("a"), run("b")
    record = json.loads((a / "env.json").read_text())
    for name in ("torch_threads", "cpu_capability", "onednn_max_cpu_isa"):
        del record[name]
    (a / "env.json").write_text(json.dumps(record))
    assert diff_runs(a, b) == diff_runs(b, a) == ([], [])


@pytest.mark.parametrize(("alias", "name"), [(32, "32-true"), ("bf16", "bf16-mixed"), ("16", "16-mixed")])
def test_diff_runs__aliases_of_a_precision_are_equal(run, alias, name):
    a, b = (run(folder, {"trainer.precision": value}) for folder, value in (("a", alias), ("b", name)))
    assert diff_runs(a, b) == ([], [])


@pytest.mark.parametrize(
    ("package", "effect", "area"),
    [
        ("torch", "affects metric", "environment"),
        ("wandb", "cosmetic", "environment"),
        ("lightseg", "affects metric", "code"),
    ],
)
def test_diff_runs__a_package(run, package, effect, area):
    packages = {**ENVIRONMENT["packages"], package: "9.0"}
    results, _ = diff_runs(run("a"), run("b", environment={"packages": packages}))
    text = f"{package}: {ENVIRONMENT['packages'][package]} -> 9.0"
    assert results == [Difference(effect, area, text)]


def test_diff_runs__effects_on_metrics_come_first_and_few_files_are_listed(run):
    files = [f"net_{index}.py" for index in range(7)]
    environment = {"packages": {**ENVIRONMENT["packages"], "torch": "9.0"}, "cpu_count": 8, "torch_threads": 8}
    b = run("b", recipe={"name": "tuned"}, environment=environment, git={"untracked": files})
    results, _ = diff_runs(run("a"), b)
    assert [(difference.effect, difference.area) for difference in results] == [
        ("affects metric", "code"),
        ("affects metric", "environment"),
        ("affects digits", "hardware"),
        ("affects speed", "hardware"),
        ("cosmetic", "recipe"),
    ]
    assert results[0].text.endswith("only: net_0.py, net_1.py, net_2.py, net_3.py, net_4.py and 2 more")


def test_diff_runs__the_same_uncommitted_changes(run):
    assert diff_runs(run("a", diff=DIFF), run("b", diff=DIFF.replace("more", "less"))) == ([], [])


def test_diff_runs__another_class_is_one_difference_beside_common_options(run):
    net = {"class_path": "lightseg.nets.SmpNet", "init_args": {"encoder": "resnet18", "depth": 3, "dropout": 0.5}}
    results, _ = diff_runs(run("a"), run("b", recipe={"model.init_args.net": net}))
    assert [difference.text for difference in results] == ["model.net: UNet -> SmpNet", "model.net.dropout: 0.0 -> 0.5"]


def test_diff_runs__a_run_that_recorded_little(run):
    a, b = run("a"), run("b")
    (b / "env.json").unlink()
    assert diff_runs(a, b) == ([], [f"{b / 'env.json'} is missing: not compared"])


def test_diff_runs__a_damaged_record(run):
    a, b = run("a"), run("b")
    (b / "data.json").write_text('{"train": ')
    with pytest.raises(UserError, match=r"b/data\.json: is damaged"):
        diff_runs(a, b)


def test_differences__by_dotted_key():
    old = {"a": {"b": 1, "c": [1, 2]}, "d": None}
    new = {"a": {"b": 2, "c": [1, 2], "e": {"f": 1}}}
    assert differences(old, new) == {"a.b": (1, 2), "a.e": (None, {"f": 1})}


def test_differences__in_a_list_of_classes():
    def transforms(*sizes):
        return {"t": [{"class_path": "a.Crop", "init_args": {"height": size}} for size in sizes]}

    assert differences(transforms(8, 4), transforms(8, 6)) == {"t.1.height": (4, 6)}
    assert list(differences(transforms(8, 4), transforms(8))) == ["t"]


def test_format_change__classes_by_their_last_name_unless_it_is_the_same():
    crop = {"class_path": "albumentations.Crop", "init_args": {"height": 8, "p": 1.0}}
    assert format_change([crop], None) == "[Crop(height=8, p=1.0)] -> null"
    assert format_change({"class_path": "a.Net"}, {"class_path": "b.Net"}) == "a.Net -> b.Net"
    # a dot in a name makes no class of it
    assert format_change("resnet18.a1_in1k", "resnet18.tv_in1k") == "resnet18.a1_in1k -> resnet18.tv_in1k"
