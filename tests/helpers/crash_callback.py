"""Callback that ends the process at the hook and count given by `CRASH=HOOK:COUNT` in the environment.

`CRASH_BY=pause` lets it wait there instead, until the file `RELEASE` exists.
"""

import os
import pathlib
import signal
import time

import lightning as L

from lightseg.errors import RunError

HOOKS = [
    *("on_train_epoch_start", "on_train_batch_start", "on_before_backward", "on_before_optimizer_step"),
    *("on_train_batch_end", "on_validation_batch_start", "on_validation_end", "on_train_epoch_end", "on_train_end"),
]


class Crash(L.Callback):
    def setup(self, trainer, task, stage):
        self.hook, _, count = os.environ.get("CRASH", "").partition(":")
        self.left = int(count or 0)
        if self.hook == "write":
            self.truncate_write()

    def count(self):
        self.left -= 1
        if self.left == 0:
            self.end()

    def end(self):
        if os.environ.get("CRASH_BY") == "error":
            raise RunError("crashed as the test asked for")
        if os.environ.get("CRASH_BY") == "usr1":
            signal.raise_signal(signal.SIGUSR1)
            return
        if os.environ.get("CRASH_BY") == "pause":
            while not pathlib.Path(os.environ["RELEASE"]).exists():
                time.sleep(0.01)
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def truncate_write(self):
        write_bytes = pathlib.Path.write_bytes

        def write_half(path, data):
            self.left -= 1
            if self.left == 0:
                write_bytes(path, bytes(data)[: len(data) // 2])
                self.end()
            return write_bytes(path, data)

        pathlib.Path.write_bytes = write_half


def _counting(name):
    def hook(self, trainer, *_):
        if name == self.hook and not trainer.sanity_checking:
            self.count()

    return hook


for _name in HOOKS:
    setattr(Crash, _name, _counting(_name))
