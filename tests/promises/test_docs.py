"""README and pages work as they stand: code is executed, commands and recipes are parsed, and links resolve."""

import importlib
import importlib.util
import re
import shlex
from itertools import pairwise

import numpy as np
import pytest
import yaml
from PIL import Image

import lightseg.fit
from lightseg.__main__ import VERBS
from lightseg.cli.argv import require_known_options
from lightseg.losses import LOSSES
from tests.conftest import ROOT

DOCS = ROOT / ".github/docs"
RUN = "runs/unet/20260102T030405-a1b2"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", ROOT / "experiments/README.md", *sorted(DOCS.glob("*.md")))
}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _load_hooks():
    spec = importlib.util.spec_from_file_location("mkdocs_hooks", ROOT / ".github/mkdocs_hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = _load_hooks()
GENERATED = HOOKS.generated_pages()


def _blocks(language: str) -> list[tuple[str, str]]:
    """Return page and text of every block of a language."""
    return [(page, body) for page, text in PAGES.items() for kind, body in BLOCK.findall(text) if kind == language]


def _named(language: str, suffix: str) -> dict[str, str]:
    """Return the blocks that are files, whose first line is a comment with the name."""
    blocks = (body for _, body in _blocks(language))
    return {match[1]: body for body in blocks if (match := re.match(rf"# (\w+\.{suffix})\n", body))}


def _commands() -> list[str]:
    """Return the command lines of all pages, without comments, each once."""
    lines = [line for _, body in _blocks("sh") for line in body.replace("\\\n", " ").splitlines()]
    lines += [
        code for text in PAGES.values() for code in re.findall(r"`((?:make|python) [^`\n]+)`", BLOCK.sub("", text))
    ]
    return list(dict.fromkeys(shlex.join(shlex.split(line, comments=True)) for line in lines))


def _verb_commands() -> dict[str, list[list[str]]]:
    """Return the arguments of every command of a verb, by verb."""
    commands = {verb: [] for verb in VERBS}
    for line in _commands():
        if match := re.search(r"-m lightseg\.([a-z]+) (.*)", line):
            commands[match[1]].append(shlex.split(match[2]))
    return commands


@pytest.fixture
def folder(tmp_path, monkeypatch, own_module):
    """A working directory with the recipes and modules of the pages."""
    for name, text in _named("yaml", "yaml").items():
        (tmp_path / name).write_text(text)
    for name, code in _named("python", "py").items():
        own_module(name.removesuffix(".py"), code)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _compose(*args: str) -> object:
    """Return the exit code of `fit` when it prints the recipe, or the help of a class, and stops."""
    is_help = any(arg.endswith(".help") for arg in args)
    with pytest.raises(SystemExit) as end:
        raise SystemExit(lightseg.fit.main([*args, *([] if is_help else ["--print_config"])]))
    return end.value.code


def test_commands__of_fit_are_taken_by_its_parser(folder, capsys):
    commands = _verb_commands()["fit"]
    assert len(commands) > 20
    parsed = set()
    for words in commands:
        require_known_options(words)
        # these options are for a series and for a run that exists; the rest of the line is parsed as it is
        series = r"--(help$|(seeds|folds|jobs|resume|extend) \S+|grid( [^-]\S+)+)"
        rest = re.sub(series, "", shlex.join(words)).replace("RECIPE", "roads.yaml")
        args = shlex.split(rest) if "--config" in rest else ["--config", "roads.yaml", *shlex.split(rest)]
        # options of an earlier line are known; tests/cli/test_lightning_cli.py composes all recipes of experiments/
        options = {pair for pair in pairwise(args) if pair[0].startswith("--") and "experiments/" not in pair[1]}
        if not options <= parsed:
            assert _compose(*args) == 0, (words, capsys.readouterr().err)
        parsed |= options


def test_commands__of_other_verbs_are_taken_up_to_the_missing_run(folder, capsys):
    commands = _verb_commands()
    assert all(commands.values())
    for verb in commands.keys() - {"fit", "launch", "list", "search"}:
        main = importlib.import_module(f"lightseg.{verb}").main
        for words in commands[verb]:
            args = [word.replace("RECIPE", "roads.yaml") for word in words]
            args += ["--from", "RUN"] if verb == "dashboard" and "--from" not in words else []
            missing = {"doctor": "my_(data|pictures)", "dashboard": "RUN"}.get(verb, re.escape(args[0]))
            code = main(args)
            error = capsys.readouterr().err
            assert code == 2, (verb, words, error)
            assert re.search(missing, error.partition("\n")[0]), (verb, words, error)


def test_commands__of_launch_are_taken(folder, capsys, monkeypatch):
    # so that sbatch, the last step, is missing, as Ray is
    monkeypatch.setenv("PATH", "")
    for words in _verb_commands()["launch"]:
        args = ["roads.yaml" if word == "RECIPE" else word for word in [*words, ">"]]
        code = importlib.import_module("lightseg.launch").main(args[: args.index(">")])
        error = capsys.readouterr().err
        if words[0] == "ray":
            assert (code, "pip install 'lightseg[ray]'" in error) == (2, True), (words, error)
        else:
            is_submitted = words[0] == "slurm" and "--dry-run" not in words
            assert code == int(is_submitted), (words, error)


@pytest.mark.slow
def test_commands__of_search_are_taken_up_to_the_missing_data(folder, capsys):
    taken = set()
    for words in sorted(_verb_commands()["search"], key=len, reverse=True):
        args = [{"RECIPE": "roads.yaml", "FILE": "study.yaml"}.get(word, word) for word in words]
        # a longer one has all of it
        if taken.issuperset(args):
            continue
        taken.update(args)
        code = importlib.import_module("lightseg.search").main(args)
        missing = words[1] if words[0] == "--resume" else "my_data: no folder images"
        assert (code, missing in capsys.readouterr().err) == (2, True), words


def test_commands__of_list_are_taken(capsys):
    for words in _verb_commands()["list"]:
        # all pairs take minutes
        assert words[:1] == ["pairs"] or importlib.import_module("lightseg.list").main(words) == 0, (
            capsys.readouterr().err
        )


def test_commands__name_targets_and_files_that_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in _commands():
        words = shlex.split(line)
        if words[:1] == ["make"]:
            assert words[1] in targets, line
        if words[:1] == ["python"] and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file(), line
    for page, text in PAGES.items():
        for path in re.findall(r"(?<![\w/])(?:experiments|configs|lightseg|tests)/[\w/.]+\.(?:yaml|py|md)", text):
            assert (ROOT / path).is_file(), (page, path)


def test_recipes__compose(folder):
    named = _named("yaml", "yaml")
    assert "roads.yaml" in named
    for name in named.keys() - {"study.yaml"}:
        assert _compose("--config", name) == 0, name
    for page, body in _blocks("yaml"):
        if not body.startswith("# "):
            (folder / "overlay.yaml").write_text(body)
            assert _compose("--config", "roads.yaml", "--config", "overlay.yaml") == 0, (page, body)


def test_roads__the_same_in_readme_and_page():
    roads = [body for _, body in _blocks("yaml") if body.startswith("# roads.yaml")]
    assert len(roads) == 2
    assert roads[0] == roads[1]


def test_demo__the_recipe_that_is_shown():
    shown, recipe = yaml.safe_load(_named("yaml", "yaml")["demo.yaml"]), ROOT / "experiments/shapes/unet.yaml"
    text = recipe.read_text().replace("../../", "")
    assert shown == yaml.safe_load(text)


def test_python__runs(folder, fit, recipe, capsys):
    trained = fit("--config", recipe(), "--trainer.max_epochs", "1").folder
    (folder / RUN).parent.mkdir(parents=True)
    trained.rename(folder / RUN)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).save("street.jpg")
    blocks = [(page, body) for page, body in _blocks("python") if not re.match(r"# \w+\.py\n", body)]
    assert {page.rpartition("/")[2] for page, _ in blocks} >= {"README.md", "python-api.md", "use-a-model.md"}
    for page, body in blocks:
        exec(compile(body, page, "exec"), {"__name__": "__main__"})


def test_own_classes__train_together(folder, fit, recipe):
    assert {"my_net.py", "my_data.py", "my_metric.py", "my_callback.py"} == set(_named("python", "py"))
    outcome = fit(
        *("--config", recipe(), "--model", "my_metric.ForegroundTask", "--model.net", "my_net.MyNet"),
        *("--data", "my_data.MyData", "--data.num_workers", "0", "--trainer.max_epochs", "1"),
        "--trainer.callbacks+=my_callback.GradientNorm",
    )
    assert outcome.code == 0, outcome.err
    assert outcome.metrics["test/iou/bright"] is not None
    # two classes, so the foreground is the one that is bright
    assert 0 <= outcome.metrics["test/foreground_recall"] <= 1
    assert any(row.get("train/gradient_norm", 0) > 0 for row in outcome.log)


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def test_links__resolve():
    documents = {
        f".github/{name}": (ROOT / ".github" / name).read_text() for name in ("CONTRIBUTING.md", "ARCHITECTURE.md")
    }
    for source, text in {**PAGES, **documents}.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", text)):
            path, _, anchor = link.partition("#")
            target = ((ROOT / source).parent / path).resolve() if path else ROOT / source
            generated = GENERATED.get(path) if source.startswith(".github/docs/") else None
            assert generated is not None or path.startswith("https://") or target.is_file(), (source, link)
            if anchor:
                assert anchor in _anchors(generated or target.read_text()), (source, link)


def test_navigation__has_every_page_once():
    def leaves(node):
        if isinstance(node, str):
            return [node]
        return [leaf for entry in (node.values() if isinstance(node, dict) else node) for leaf in leaves(entry)]

    navigation = leaves(yaml.safe_load((ROOT / ".github/mkdocs.yml").read_text())["nav"])
    assert sorted(navigation) == sorted([*(path.name for path in DOCS.glob("*.md")), *GENERATED])


def test_generated__commands_are_what_help_prints(capsys):
    for verb in VERBS:
        assert importlib.import_module(f"lightseg.{verb}").main(["--help"]) == 0
        assert f"```text\n{capsys.readouterr().out}```" in GENERATED["reference/commands.md"]


def test_generated__names_of_packages_losses_and_recipes():
    for page, text in GENERATED.items():
        if match := re.fullmatch(r"reference/(lightseg[\w.]*)\.md", page):
            names = importlib.import_module(match[1]).__all__
            assert re.findall(r"^::: (\S+)$", text, re.MULTILINE) == [f"{match[1]}.{name}" for name in names]
    rows = re.findall(r"^\| `(\w+)` \| \[`(\w+)`\]", GENERATED["reference/losses.md"], re.MULTILINE)
    assert rows == [(name, kind.__name__) for name, kind in LOSSES.items()]
    recipes = {
        str(file.relative_to(ROOT)) for top in ("configs", "experiments") for file in (ROOT / top).rglob("*.yaml")
    }
    assert set(re.findall(r"^### (.+)$", GENERATED["reference/configs.md"], re.MULTILINE)) == recipes
