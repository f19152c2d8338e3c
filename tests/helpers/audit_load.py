"""Loads models in a process whose every import, open file, process and connection is watched; prints what each did.

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


class Watch:
    """What an audit hook has seen since it was last asked."""

    def __init__(self, own: Path) -> None:
        self.places = [
            str(place) for place in (own, sys.prefix, sys.base_prefix, Path(lightseg.__file__).parent.parent)
        ]
        self.seen: list[str] = []
        self.modules = set(sys.modules)
        self.is_on = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple) -> None:
        if not self.is_on:
            return
        if event in _ACTS:
            self.seen.append(f"{event} {arguments!r}"[:200])
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path, flags = str(Path(os.fsdecode(arguments[0])).absolute()), arguments[2]
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and path != os.devnull:
                self.seen.append(f"write {path}")
            elif not path.startswith((*self.places, "/proc", "/sys", "/dev", "/etc")):
                self.seen.append(f"read {path}")

    def taken(self) -> list[str]:
        """What was seen, with the modules that are new and belong to no package that a net may need."""
        new = sorted({name.partition(".")[0] for name in set(sys.modules) - self.modules} - _PACKAGES)
        seen, self.seen, self.modules = [*self.seen, *(f"import {name}" for name in new)], [], set(sys.modules)
        return seen


_PACKAGES = {*("torch", "torchvision", "torchmetrics", "timm", "segmentation_models_pytorch", "lightseg", "lightning")}
_PACKAGES |= {*("albumentations", "safetensors", "huggingface_hub", "numpy", "scipy", "PIL", "cv2", "jsonargparse")}
_PACKAGES |= {*("pydantic", "pydantic_core", "tqdm", "httpx", "yaml", "matplotlib", "_posixshmem")}


def main(file: str) -> None:
    """Load each case, and print a line of JSON about it."""
    cases = json.loads(Path(file).read_text())
    watch = Watch(Path(file).parent.resolve())
    # the packages that any net imports when it is built for the first time are of no interest
    for case in cases:
        if case["name"].startswith("harmless"):
            lightseg.load(case["path"])
    watch.taken()
    for case in cases:
        said = ""
        watch.is_on = True
        try:
            lightseg.load(case["path"], trust=case["trust"])
        except Exception as error:  # what kind it is, is what is tested
            said = f"{type(error).__name__}: {error}"
        finally:
            watch.is_on = False
        print(json.dumps({"name": case["name"], "said": said, "seen": watch.taken()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
