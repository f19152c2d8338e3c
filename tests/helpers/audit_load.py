"""Load models in a process that records every import, opened file, process and connection, and print them as JSON.

usage: python -m tests.helpers.audit_load CASES.json, a list of {name, path, trust}
"""

import json
import os
import sys
from pathlib import Path

import lightseg

_ACTS = (
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
    "socket.getaddrinfo",
)
_ACTS += ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.symlink", "shutil.rmtree", "urllib.Request")


class EventRecorder:
    """Audit hook that records the events since the last call of `take`."""

    def __init__(self, case_folder: Path) -> None:
        self.folders = [
            str(folder) for folder in (case_folder, sys.prefix, sys.base_prefix, Path(lightseg.__file__).parent.parent)
        ]
        self.events: list[str] = []
        self.modules = set(sys.modules)
        self.is_on = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple) -> None:
        if not self.is_on:
            return
        if event in _ACTS:
            self.events.append(f"{event} {arguments!r}"[:200])
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path, flags = str(Path(os.fsdecode(arguments[0])).absolute()), arguments[2]
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and path != os.devnull:
                self.events.append(f"write {path}")
            elif not path.startswith((*self.folders, "/proc", "/sys", "/dev", "/etc")):
                self.events.append(f"read {path}")

    def take(self) -> list[str]:
        """Return and clear the events, with the new modules that belong to no package that a net may need."""
        new = sorted({name.partition(".")[0] for name in set(sys.modules) - self.modules} - _PACKAGES)
        events, self.events, self.modules = [*self.events, *(f"import {name}" for name in new)], [], set(sys.modules)
        return events


_PACKAGES = {*("torch", "torchvision", "torchmetrics", "timm", "segmentation_models_pytorch", "lightseg", "lightning")}
_PACKAGES |= {*("albumentations", "safetensors", "huggingface_hub", "numpy", "scipy", "PIL", "cv2", "jsonargparse")}
_PACKAGES |= {*("pydantic", "pydantic_core", "tqdm", "httpx", "yaml", "matplotlib", "_posixshmem")}


def main(file: str) -> None:
    """Load each case and print one JSON line per case."""
    cases = json.loads(Path(file).read_text())
    recorder = EventRecorder(Path(file).parent.resolve())
    # the packages that any net imports when it is built for the first time are of no interest
    for case in cases:
        if case["name"].startswith("harmless"):
            lightseg.load(case["path"])
    recorder.take()
    for case in cases:
        message = ""
        recorder.is_on = True
        try:
            lightseg.load(case["path"], trust=case["trust"])
        except Exception as error:  # the type is under test
            message = f"{type(error).__name__}: {error}"
        finally:
            recorder.is_on = False
        print(json.dumps({"name": case["name"], "message": message, "events": recorder.take()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
