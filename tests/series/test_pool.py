"""Processes of shell commands."""

import os
import signal
import sys
import threading
import time

import pytest

from lightseg.series import pool as pool_module
from lightseg.series.pool import Pool


def collect(pool, number):
    codes = {}
    while len(codes) < number:
        codes |= pool.collect()
        time.sleep(0.01)
    return codes


def test_pool__exit_codes_and_output(tmp_path):
    output = tmp_path / "out.txt"
    output.write_text("before\n")
    with Pool() as pool:
        pool.start(3, ["sh", "-c", "echo $NAME; echo error >&2; exit 7"], {"NAME": "value"}, output)
        pool.start(4, ["sh", "-c", "kill -9 $$"], {}, tmp_path / "other.txt")
        assert collect(pool, 2) == {3: 7, 4: 137}
    assert output.read_text() == "before\nlightseg: goes on in a new process\nvalue\nerror\n"


def test_pool__a_process_reads_nothing_and_knows_its_parent(tmp_path):
    with Pool() as pool:
        pool.start(0, ["sh", "-c", "cat; echo $LIGHTSEG_SERIES_PROCESS"], {}, tmp_path / "out.txt")
        assert collect(pool, 1) == {0: 0}
    assert (tmp_path / "out.txt").read_text() == f"{os.getpid()}\n"


def test_pool__signals_are_forwarded_and_handlers_restored(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with Pool() as pool:
        for index in range(2):
            pool.start(index, ["sleep", "3000"], {}, tmp_path / f"{index}.txt")
        os.kill(os.getpid(), signal.SIGTERM)
        assert collect(pool, 2) == {0: 143, 1: 143}
        assert pool.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_pool__an_error_leaves_no_process(tmp_path):
    def fail():
        with Pool() as pool:
            pool.start(0, ["sh", "-c", "echo $$ >&2; exec sleep 3000"], {}, tmp_path / "out.txt")
            while not (tmp_path / "out.txt").read_text():
                time.sleep(0.01)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "out.txt").read_text()), 0)


STUBBORN = "import signal, time\n{handler}\nprint('ready', flush=True)\nwhile True: time.sleep(0.01)"
COUNTING = """count = []
def handle(*_):
    count.append(1)
    if len(count) == 2:
        raise SystemExit
signal.signal(signal.SIGTERM, handle)
signal.signal(signal.SIGINT, handle)"""


@pytest.mark.parametrize("way", ["time limit", "second signal"])
def test_pool__an_error_ends_a_process_that_does_not_stop(tmp_path, monkeypatch, way):
    handler = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if way == "time limit" else COUNTING
    monkeypatch.setattr(pool_module, "_STOP_SECONDS", 0.2 if way == "time limit" else 3000)
    # a shell may start the tests with the signal ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    output = tmp_path / "out.txt"

    def fail():
        with Pool() as pool:
            pool.start(0, [sys.executable, "-c", STUBBORN.format(handler=handler)], {}, output)
            while "ready" not in output.read_text():
                time.sleep(0.01)
            if way == "second signal":
                # in any order with the first one, of the error
                threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            raise KeyError

    # a process that does not end would let it wait until pytest's limit
    try:
        with pytest.raises(KeyError):
            fail()
    finally:
        signal.signal(signal.SIGINT, before)
