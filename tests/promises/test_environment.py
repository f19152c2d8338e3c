"""Streams, folders, names and variables of a machine: a run works, or ends with one line and no folder."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lightseg import compare, diff, doctor, evaluate, explain, export, predict, sync
from lightseg import fit as fit_verb
from lightseg.data import MaskFolder
from tests.comparison.fabricate import wide, write_run
from tests.conftest import ROOT, Outcome
from tests.helpers.processes import PATIENCE
from tests.helpers.refusal import assert_refused
from tests.helpers.small_disk import run_on_small_disk

NAMES = ["../esc", "/absolute", "n" * 276, "a\0b", "..", "a/b", "two\nlines", " ", "\x1b[31m"]


@pytest.mark.parametrize("name", NAMES)
def test_name__that_is_no_folder_is_refused(fit, recipe, tmp_path, name):
    assert_refused(
        fit("--config", recipe(), f"--name={name}"), "--name", "is no name of a folder; give up to 200 printable"
    )
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "esc").exists()


@pytest.mark.parametrize("name", ['-it\'s "quoted" [x]*? Straße 道', "n" * 200])
def test_name__odd_ones_work(fit, recipe, tmp_path, name):
    done = fit("--config", recipe(), f"--name={name}", "--trainer.max_epochs=1")
    assert done.code == 0, done.err
    assert done.folder.parent == tmp_path / "runs" / name


@pytest.mark.parametrize("value", ["null", "nan", "-1", "text", "[1]", "{}"])
def test_cache_gb__that_is_no_size_is_refused(fit, recipe, tmp_path, value):
    done = fit("--config", recipe(), f"--data.cache_gb={value}")
    assert done.code == 2
    assert "cache_gb" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "runs").exists()


def test_home__is_expanded_everywhere(recipe, tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LIGHTSEG_CACHE", "~/cache")
    text = recipe().read_text()
    (home / "mine.yaml").write_text(text.replace("configs/net/unet.yaml]", "~/base.yaml]") + "runs_dir: ~/by recipe\n")
    (home / "base.yaml").write_text("base: [configs/net/unet.yaml]\n")
    one = ["--config", "~/mine.yaml", "--trainer.max_epochs=1"]
    assert fit_verb.main(one) == 0
    assert fit_verb.main([*one, "--runs_dir=~/by option"]) == 0
    assert {path.name for path in home.iterdir()} == {"base.yaml", "mine.yaml", "by recipe", "by option", "cache"}
    assert not Path("~").exists()
    assert MaskFolder(["a", "b"], root="~/x").root == str(home / "x")


def test_thread__trains_without_signal_handlers(recipe, tmp_path, capsys):
    codes = []
    args = ["--config", str(recipe()), "--runs_dir", str(tmp_path / "runs")]
    thread = threading.Thread(target=lambda: codes.append(fit_verb.main(args)))
    thread.start()
    thread.join()
    assert codes == [0], capsys.readouterr().err


def test_runs_dir__with_a_path_of_5000_characters_is_refused(recipe, capsys):
    assert fit_verb.main(["--config", str(recipe()), "--runs_dir", "/tmp/" + "long/" * 1000]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error


def test_runs_dir__where_no_folder_can_be_made_is_refused(recipe, capsys):
    assert fit_verb.main(["--config", str(recipe()), "--runs_dir", "/proc/x"]) == 2
    error = capsys.readouterr().err.strip()
    assert "--runs_dir /proc/x: cannot make /proc/x" in error
    assert "\n" not in error


def python(script, shell="", **environment):
    """A script in a shell; what became of it."""
    command = f"{shell} exec {sys.executable} -c '{script}' $STREAMS"
    variables = {**os.environ, "STREAMS": "", **environment}
    return subprocess.run(
        ["bash", "-c", command.replace("$STREAMS", environment.get("STREAMS", ""))],
        capture_output=True,
        text=True,
        env=variables,
    )


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_streams__a_closed_one_is_replaced_before_a_file_takes_its_number(streams, tmp_path):
    script = (
        "from lightseg.cli.entry import guarded; import os, sys; path = sys.argv[-1]\n"
        "def run():\n"
        '    file = open(os.environ["KEPT"], "w"); assert file.fileno() > 2; file.write("kept")\n'
        '    print("…"); print("×", file=sys.stderr); os.write(1, b"x"); os.write(2, b"x")\n'
        "sys.exit(guarded(run))"
    )
    done = python(script, KEPT=str(tmp_path / "kept"), STREAMS=streams)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kept").read_text() == "kept"


def test_streams__ascii_shows_what_it_can():
    verb = 'import sys; from lightseg.fit import main; sys.exit(main(["--help"]))'
    done = python(verb.replace('"', '"'), PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "--runs_dir DIR" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "codes"),
    [
        # each has a folder that is missing, too
        ("unset LIGHTSEG_CACHE; HOME=/dev/null FIT >&-", [0]),
        ("TMPDIR=/nonexistent FIT 2>&-", [0]),
        ("PYTHONIOENCODING=ascii LANG=C LC_ALL=C FIT", [0]),
        ("ulimit -n 24; FIT --data.num_workers 2", [0, 2]),
        # it goes on once its reader is gone
        ("set -o pipefail; CRASH=on_train_batch_end:1 FIT | { head -1; exec <&-; touch released; }", [141]),
    ],
)
def test_streams__a_whole_training_with_each(crashing_recipe, tmp_path, shell, codes):
    fit = f"{sys.executable} -m lightseg.fit --config {crashing_recipe} --trainer.max_epochs 1 --runs_dir runs"
    environment = {**os.environ, "CRASH_BY": "pause", "RELEASE": str(tmp_path / "released")}
    done = subprocess.run(
        ["bash", "-c", shell.replace("FIT", fit)], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode in codes, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("files", "workers", "fewer"), [(40, 2, 0), (128, 8, 4), (256, 8, None)])
def test_files__of_which_few_may_be_open_are_enough_for_fewer_workers(recipe, tmp_path, files, workers, fewer):
    fit = f"{sys.executable} -m lightseg.fit --config {recipe()} --runs_dir {tmp_path}/runs --trainer.max_epochs 1"
    shell = f"ulimit -n {files}; exec {fit} --data.num_workers {workers}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, env=environment, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    warned = f"warning: data.num_workers: {fewer} instead of {workers}, for {files} files may be open; raise it: ulimit"
    assert (warned in done.stderr) == (fewer is not None)
    assert done.stderr.count("instead of") == (fewer is not None)


@pytest.mark.slow
def test_disk__of_16_kb_is_named_and_nothing_is_left(recipe, tmp_path):
    fit = f"{sys.executable} -m lightseg.fit --config {recipe()} --runs_dir disk"
    done = run_on_small_disk(tmp_path, "16k", f'{fit}; echo "exit code $?"; find disk -mindepth 1')
    assert done.stdout.strip().endswith("exit code 2"), done.stdout + done.stderr
    assert "the disk is full" in done.stderr
    assert f"{tmp_path}/disk" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("link", ["runs", "runs/tiny"])
@pytest.mark.parametrize("target", ["nowhere", "tiny"])
def test_runs_dir__with_a_link_that_leads_nowhere_is_refused(fit, recipe, tmp_path, link, target):
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(target if link == "runs/tiny" else {"tiny": "runs"}.get(target, target))
    assert_refused(fit("--config", recipe()), "--runs_dir", f"{tmp_path / link}", "is a link that leads nowhere")


@pytest.mark.parametrize("place", ["loop", "loop/below", "broken", "broken/below"])
@pytest.mark.parametrize("verb", ["evaluate --out", "doctor --out", "doctor --json", "compare --html", "compare --csv"])
def test_outputs__through_a_link_that_leads_nowhere_are_refused(call, recipe, tmp_path, verb, place):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "broken").symlink_to("nowhere/at/all")
    name, option = verb.split()
    main = {"evaluate": evaluate.main, "doctor": doctor.main, "compare": compare.main}[name]
    assert_refused(
        Outcome(*call(main, recipe(), option, tmp_path / place)), option, "is a link that leads nowhere; remove it"
    )


def test_compare__a_pattern_ends_where_links_lead_back(call, tmp_path):
    folders = [write_run(tmp_path / "runs" / name, wide(4)) for name in ("one", "two")]
    # of 40 levels each
    for name in "abc":
        (tmp_path / "runs" / name).symlink_to(".")
        (folders[0] / name).symlink_to("..")
    code, out, err = call(compare.main, f"{tmp_path}/runs/**", "--json", tmp_path / "found.json")
    assert (code, err) == (0, "")
    assert out.count("given twice") == 0
    assert len(json.loads((tmp_path / "found.json").read_text())["groups"]) == 2
    assert_refused(Outcome(*call(compare.main, f"{tmp_path}/runs/**/nothing")), "there is no such folder")


def test_compare__a_baseline_that_is_a_link_to_itself(call, tmp_path):
    for name in ("one", "two"):
        write_run(tmp_path / "runs" / name, wide(len(name)))
    (tmp_path / "loop").symlink_to("loop")
    assert_refused(Outcome(*call(compare.main, tmp_path / "runs", "--baseline", tmp_path / "loop")), "loop")


VERBS = {"compare": compare, "diff": diff, "doctor": doctor, "evaluate": evaluate, "explain": explain}
VERBS |= {"export": export, "fit": fit_verb, "predict": predict, "sync": sync}


def test_verbs__in_a_working_directory_that_was_removed(tmp_path):
    place = tmp_path / "gone"
    place.mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); from lightseg.compare import main; sys.exit(main(['nowhere']))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "the working directory was removed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_environment__a_rank_that_is_no_number_is_named_by_every_verb(call, monkeypatch, verb):
    monkeypatch.setenv("RANK", "x")
    assert_refused(
        Outcome(*call(VERBS[verb].main, "RUN", "--html", "page.html")), "RANK: the environment sets it to 'x'"
    )
