"""Untrusted folders: nothing in them is run, written through, or waited for without end."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from lightseg import compare, evaluate, explain, fit, sync
from lightseg.data.datasets import cifar10_files
from lightseg.data.io.images import read_image
from lightseg.errors import DataError, UserError
from lightseg.files.atomic import file_lock, locked
from lightseg.runs import environment
from lightseg.tracking import wandb_run
from lightseg.visualization.examples import Example, read_examples, write_examples
from tests.comparison.fabricate import wide, write_run
from tests.conftest import ROOT

MARKING = "from pathlib import Path\nPath(__file__).with_name('RAN').touch()\n"


@pytest.fixture
def in_time():
    """Ends what waits for a pipe."""

    def end(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def victim(tmp_path):
    """A file that nobody may write to."""
    path = tmp_path / "victim"
    path.write_text("kept")
    yield path
    assert path.read_text() == "kept"


def python(place, *arguments):
    """Python in a folder that it has not been told to look for modules in."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=place, env=environment, capture_output=True, text=True, check=False
    )


# ---- code -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["-m", "lightseg.diff"], ["-m", "lightseg", "diff"], ["-mlightseg.diff"]])
def test_verbs__files_of_the_working_directory_are_no_modules(command, tmp_path):
    for name in ("yaml", "typing", "json", "argparse", "numpy"):
        (tmp_path / f"{name}.py").write_text(MARKING)
    (tmp_path / "config.yaml").write_text("data: 5")
    done = python(tmp_path, *command, ".", ".")
    assert done.returncode == 2
    assert "config.yaml" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "RAN").exists()


@pytest.mark.slow
def test_fit__looks_for_modules_in_the_working_directory(recipe, tmp_path):
    (tmp_path / "mine.py").write_text(MARKING + "raise SystemExit\n")
    recipe(recipe().read_text().replace("net: {", "net: {class_path: mine.Net, "))
    python(tmp_path, "-m", "lightseg.fit", "--config", "tiny.yaml")
    assert (tmp_path / "RAN").exists()


def test_import__a_program_of_one_s_own_finds_what_lies_beside_it(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__init__.py").write_text("import lightseg\n")
    (tmp_path / "package/program.py").write_text("import beside\n")
    (tmp_path / "beside.py").write_text("print('found')\n")
    done = python(tmp_path, "-m", "package.program")
    assert (done.stdout, done.stderr) == ("found\n", "")


PROGRAMS = {
    "external": "[diff]\n\texternal = PROGRAM\n",
    "driver": '[diff "evil"]\n\tcommand = PROGRAM\n',
    "textconv": '[diff "evil"]\n\ttextconv = PROGRAM\n',
    "fsmonitor": "[core]\n\tfsmonitor = PROGRAM\n",
    "clean": '[filter "evil"]\n\tclean = PROGRAM\n',
    "required": '[filter "evil"]\n\tclean = PROGRAM\n\trequired = true\n',
    "process": '[filter "evil"]\n\tprocess = PROGRAM\n',
    "included": "[include]\n\tpath = more\n",
    "hooks": "",
}


def git(*arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


@pytest.mark.parametrize("kind", PROGRAMS)
def test_git__programs_of_the_repository_are_not_run(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git("init")
    (tmp_path / "a.txt").write_text("old\n")
    (tmp_path / "b.txt").write_text("same\n")
    git("add", ".")
    git("commit", "-m", "first")
    (tmp_path / "a.txt").write_text("new\n")
    os.utime("b.txt", (0, 0))
    (tmp_path / ".git/info").mkdir(exist_ok=True)
    (tmp_path / ".git/info/attributes").write_text("*.txt diff=evil filter=evil\n")
    (tmp_path / ".git/more").write_text(f'[filter "evil"]\n\tclean = {tmp_path}/.git/program\n')
    program = tmp_path / ".git" / ("hooks/post-index-change" if kind == "hooks" else "program")
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/.git/RAN\n")
    program.chmod(0o755)
    with (tmp_path / ".git/config").open("a") as file:
        file.write(PROGRAMS[kind].replace("PROGRAM", str(program)))
    state, difference = environment._git()
    assert not (tmp_path / ".git/RAN").exists()
    assert state["dirty"]
    assert "-old\n+new\n" in difference
    os.utime("b.txt", (1, 1))
    # not every program says to git what it expects
    subprocess.run(["git", "diff", "HEAD"], capture_output=True, check=False)
    assert (tmp_path / ".git/RAN").exists()


def test_git__programs_of_a_submodule_are_not_run(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    git("init")
    (tmp_path / "inner/a.txt").write_text("old\n")
    (tmp_path / "inner/.gitattributes").write_text("* filter=evil\n")
    git("add", ".")
    git("commit", "-m", "first")
    (tmp_path / "outer").mkdir()
    monkeypatch.chdir(tmp_path / "outer")
    git("init")
    git("submodule", "add", tmp_path / "inner", "sub")
    git("commit", "-m", "first")
    git("-C", "sub", "config", "filter.evil.clean", f"touch {tmp_path}/RAN; cat")
    git("config", "diff.submodule", "diff")
    (tmp_path / "outer/sub/a.txt").write_text("new\n")
    assert environment._git()[1] == ""
    assert not (tmp_path / "RAN").exists()
    git("diff", "HEAD")
    assert (tmp_path / "RAN").exists()


def test_git__without_the_names_of_its_filters_says_nothing_of_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git("init")
    (tmp_path / "a.txt").write_text("old\n")
    git("add", ".")
    git("commit", "-m", "first")
    (tmp_path / "a.txt").write_text("new\n")
    answer = environment._run_git
    # as git before 2.26 does
    monkeypatch.setattr(environment, "_run_git", lambda *words: None if "--show-scope" in words else answer(*words))
    state, difference = environment._git()
    assert (state["dirty"], difference) == (None, "")


EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("reader", ["cifar10", "examples"])
def test_pictures__a_postscript_file_starts_no_interpreter(reader, tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/RAN\n")
    (programs / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    if reader == "cifar10":
        for split in ("train", "test"):
            for label in cifar10_files.CLASSES:
                (tmp_path / "data" / split / label).mkdir(parents=True)
                picture = tmp_path / "data" / split / label / "0.png"
                Image.new("RGB", (32, 32)).save(picture)
        picture.write_text(EPS)
        with pytest.raises(DataError, match=r"truck/0\.png: cannot be read as an image"):
            cifar10_files.load(tmp_path / "data")
    else:
        picture = tmp_path / "examples" / "00_image.png"
        _write_example(picture.parent)
        picture.write_text(EPS)
        with pytest.raises(OSError, match="cannot identify"):
            read_examples(picture.parent)
    assert not (tmp_path / "RAN").exists()
    with pytest.raises(OSError), Image.open(picture) as image:
        image.load()
    assert (tmp_path / "RAN").exists()


def _write_example(folder):
    example = Example("a", np.zeros((8, 8, 3), np.uint8), np.zeros((), np.int64), np.zeros((), np.int64))
    write_examples(folder, [example], ["a"], [(0, 0, 0)])


# ---- links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", [locked, lambda folder: file_lock(folder, "waits")])
def test_lock__is_neither_emptied_nor_followed(lock, tmp_path, victim, in_time):
    path = tmp_path / "run" / ".lock"
    path.parent.mkdir()
    path.write_text("as it is")
    with lock(path.parent):
        pass
    assert path.read_text() == "as it is"
    for make in (
        lambda: path.symlink_to(victim),
        lambda: path.symlink_to(tmp_path / "new"),
        lambda: os.mkfifo(path),
    ):
        path.unlink()
        make()
        with pytest.raises(UserError, match=r"\.lock: is (a link, or no|not a) regular file"), lock(path.parent):
            pass
    assert not (tmp_path / "new").exists()


def test_explain__a_link_is_followed_only_where_it_was_named(tmp_path, victim, call):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("seed_everything: 0\ndata: {class_path: lightseg.data.Shapes}\n")
    (folder / "explain.html").symlink_to(victim)
    code, _, err = call(explain.main, folder)
    assert code == 2
    assert f"{folder / 'explain.html'}: is a link, a pipe or a device, and is not written through" in err
    assert len(err.splitlines()) == 1
    assert "no checkpoint found" in call(explain.main, folder, "--out", folder / "explain.html")[2]


@pytest.mark.parametrize("make", [lambda path, victim: path.symlink_to(victim), lambda path, _: os.mkfifo(path)])
def test_sync__a_record_that_is_a_link_or_a_pipe(make, tmp_path, victim, call, in_time):
    folder = write_run(tmp_path / "runs" / "one")
    make(folder / "wandb.json", victim)
    code, _, err = call(sync.main, folder)
    assert code == 2
    assert f"{folder / 'wandb.json'}: is a link, a pipe or a device" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "/proc"], "--out /proc: is the root of a mounted file system; give a folder in it"),
        (["--name", ".."], "--name ..: is no name of a folder"),
    ],
)
def test_evaluate__places_that_cannot_be_replaced(options, message, call):
    code, _, err = call(evaluate.main, "run", *options)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


RECORDS = ["metrics.json", "config.yaml", "model.json", "env.json", "data.json", "metrics.jsonl", "per_image_test.npz"]


@pytest.mark.parametrize("name", RECORDS)
def test_compare__a_record_that_is_a_link_out_of_the_run_is_not_read(name, tmp_path, victim, call):
    good, bad = (write_run(tmp_path / "runs" / each) for each in ("good", "bad"))
    (bad / name).unlink()
    (bad / name).symlink_to(victim)
    code, out, err = call(compare.main, good, bad)
    assert (code, out) == (2, "")
    assert f"{bad / name}: is a link that leads out of its folder" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", RECORDS)
def test_compare__a_record_whose_links_lead_in_a_circle(name, tmp_path, call):
    good, bad = (write_run(tmp_path / "runs" / each) for each in ("good", "bad"))
    (bad / name).unlink()
    (bad / name).symlink_to(bad / name)
    code, _, err = call(compare.main, good, bad)
    assert code == 2
    assert str(bad) in err
    assert len(err.splitlines()) == 1


# ---- pipes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.json", "metrics.jsonl", "per_image_test.npz", "confusion_test.csv"])
def test_compare__a_pipe_in_place_of_a_file_is_named(name, tmp_path, call, in_time):
    good, bad = (write_run(tmp_path / "runs" / each) for each in ("good", "bad"))
    (bad / name).unlink(missing_ok=True)
    os.mkfifo(bad / name)
    page = tmp_path / "page.html"
    code, _, err = call(compare.main, good, bad, "--html", page)
    message = f"{bad / name}: is not a regular file"
    if name.startswith("confusion"):
        assert (code, err) == (0, "")
        assert message in page.read_text()
    else:
        assert code == 2
        assert message in err
        assert len(err.splitlines()) == 1


def test_read__a_pipe_in_place_of_a_picture_is_named(tmp_path, in_time):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: is not a regular file"):
        read_image(tmp_path / "a.png", 3)
    _write_example(tmp_path / "examples")
    (tmp_path / "examples/00_image.png").unlink()
    os.mkfifo(tmp_path / "examples/00_image.png")
    with pytest.raises(UserError, match=r"00_image\.png: is not a regular file"):
        read_examples(tmp_path / "examples")


def test_wandb__a_folder_in_place_of_the_record(tmp_path):
    (tmp_path / "wandb.json").mkdir()
    with pytest.raises(UserError, match=r"wandb\.json: is not a regular file"):
        wandb_run.read(tmp_path)


# ---- names ----------------------------------------------------------------------------------------------------------


def test_compare__names_of_folders_are_shown_and_not_obeyed(tmp_path, call):
    nasty = "\x1b[2Jred"
    runs = [write_run(tmp_path / "runs" / nasty / f"{nasty}{number}", wide(4 + number)) for number in range(3)]
    (runs[0] / "command.txt").write_text(f"python {nasty}")
    (runs[2] / "metrics.json").unlink()
    page = tmp_path / "page.html"
    code, out, err = call(compare.main, tmp_path / "runs", "--html", page)
    assert (code, err) == (0, "")
    text = page.read_text(encoding="utf-8")
    assert "\x1b" not in out + text
    assert "\\x1b[2Jred2isnotfinished" in "".join(out.split())
    assert "python \\x1b[2Jred" in text


def test_sync__names_of_folders_are_shown_and_not_obeyed(tmp_path, call):
    folder = write_run(tmp_path / "runs" / "\x1b[2Jred")
    (folder / "metrics.jsonl").write_text("")
    (folder / "metrics.json").unlink()
    code, out, err = call(sync.main, folder)
    assert (code, err) == (0, "")
    assert out.endswith("\\x1b[2Jred: there is no whole step yet\n")


def test_fit__names_of_folders_are_shown_and_not_obeyed(recipe, tmp_path, call):
    options = ("--trainer.max_epochs", "1", "--runs_dir", tmp_path / "\x1b[2Jred")
    code, out, err = call(fit.main, "--config", recipe(), *options)
    assert code == 0, err
    assert "\x1b" not in out + err
    assert out.splitlines()[-1].startswith(f"run: {tmp_path}/\\x1b[2Jred/tiny/")
