"""Job schedulers: Slurm and torchrun."""

import time

from lightseg.runs import scheduler


def test_requeue__without_scontrol_says_so(monkeypatch, capsys):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("PATH", "")
    scheduler.requeue()
    assert capsys.readouterr().err == "warning: scontrol: No such file or directory; the job is not queued again\n"


def test_launched_job__goes_on_with_its_run_whoever_starts_it_again(monkeypatch):
    monkeypatch.setenv("LIGHTSEG_JOB", "roads-1")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "train")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    assert scheduler.job() == "job-roads-1"
    # long before torchrun was started on this machine
    assert scheduler.restarted(0)


def test_torchrun__knows_its_own_runs_by_when_it_was_started(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "train")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    assert scheduler.job() == "torchrun-train"
    # the process that started this one, as torchrun would have, began before now
    assert scheduler.restarted(time.time())
    assert not scheduler.restarted(time.time() - 10 * 365 * 86400)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert scheduler.restarted(0)
