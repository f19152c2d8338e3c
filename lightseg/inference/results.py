"""Folder of predictions: what made them, which images are done, and the labels of a classification."""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lightseg.errors import UserError
from lightseg.files.atomic import atomic_write, locked, write_atomically
from lightseg.inference.inputs import Item

FACTS, DONE, LABELS = "classes.json", "predictions.jsonl", "labels.csv"

_IDENTITY = {
    "sha256": "checkpoint",
    "protocol": "protocol",
    "protocol_large": "protocol for large images",
    "temperature": "temperature",
}
"""Facts that all predictions of a folder share, with their names in messages."""


class Results:
    """Folder of predictions, which a later call can complete.

    Args:
        folder: An existing folder; see `open_results`.
        facts: Content of `classes.json`: the classes and the checkpoint, protocol and temperature of the predictions.

    Raises:
        UserError: If it holds predictions with other facts.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder = folder
        self._require_same_facts(facts)
        self._done = {record["name"]: record for record in self._records()}
        for stale in folder.rglob(".*"):
            # temporary files of a killed call; the folder is locked for other processes
            if stale.suffix[1:].isdigit() and stale.is_file():
                stale.unlink()
        lines = [json.dumps(record) for record in self._done.values()]
        write_atomically(folder / FACTS, json.dumps(facts, indent=1) + "\n")
        # rewritten without the incomplete last line of a killed call
        write_atomically(folder / DONE, "".join(f"{line}\n" for line in lines))

    def _require_same_facts(self, facts: dict[str, Any]) -> None:
        if not (self.folder / FACTS).is_file():
            return
        try:
            recorded = json.loads((self.folder / FACTS).read_text(encoding="utf-8"))
        except ValueError:
            raise UserError(f"{self.folder / FACTS} is damaged; delete the folder, or give another --out") from None
        for key, name in _IDENTITY.items():
            if recorded.get(key) != facts[key]:
                difference = f"another {name} ({recorded.get(key)}; now {facts[key]})"
                raise UserError(
                    f"--out {self.folder} holds predictions with {difference}; give another --out, or delete the folder"
                )

    def _records(self) -> list[dict[str, Any]]:
        file, records = self.folder / DONE, []
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
            try:
                records.append(json.loads(line))
            except ValueError:
                # the last line of a killed call is incomplete; its image is predicted again
                continue
        return records

    def has(self, item: Item, outputs: Sequence[Path]) -> bool:
        """Return whether an image is done: its file is unchanged, and all of its outputs exist."""
        record = self._done.get(item.name)
        return record is not None and record["input"] == _state(item) and all(path.is_file() for path in outputs)

    def add(self, item: Item, **facts: object) -> None:
        """Record that an image is done, with facts such as its size."""
        record = {"name": item.name, "input": _state(item), **facts}
        self._done[item.name] = record
        with (self.folder / DONE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def require_same_files(self, items: Sequence[Item]) -> None:
        """Check that no image replaces another one, from an earlier call with other inputs.

        Raises:
            UserError: If an image would replace another one; the message names both files.
        """
        for item in items:
            predicted = Path(self._done[item.name]["input"]["file"]) if item.name in self._done else item.file
            if predicted.exists() and not predicted.samefile(item.file):
                raise UserError(
                    f"--out {self.folder} holds {item.name} of {predicted}, which {item.file} would replace; "
                    "give another --out"
                )

    def write_labels(self, items: Sequence[Item], classes: Sequence[str], every_class: bool) -> None:
        """Write `labels.csv`: file, class and probability of each image that is done, by name.

        Args:
            items: The images of this call; those of earlier calls are in the table, too.
            classes: The class names.
            every_class: Add a column with the probability of each class.
        """
        failed = {item.name for item in items if not self.has(item, [])}
        records = [self._done[name] for name in sorted(self._done.keys() - failed)]
        with atomic_write(self.folder / LABELS) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "page", "class", "probability", *(classes if every_class else [])])
            for record in records:
                probabilities, page = record["probabilities"], record["input"]["page"]
                columns = [f"{value:.6f}" for value in (max(probabilities), *(probabilities if every_class else []))]
                writer.writerow(
                    [record["input"]["file"], "" if page is None else page + 1, classes[record["class"]], *columns]
                )


@contextmanager
def open_results(folder: Path) -> Iterator[None]:
    """Create a folder for predictions if it does not exist, and lock it for other processes.

    Raises:
        UserError: If it is a file, holds other files, or another process predicts into it.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {folder}: is a file; give a folder")
    if folder.is_dir() and not (folder / FACTS).is_file() and any(path.name[0] != "." for path in folder.iterdir()):
        raise UserError(f"--out {folder}: holds other files; give a new or an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except UserError:
            raise UserError(f"--out {folder}: another process predicts into it; wait for its end") from None
        yield


def _state(item: Item) -> dict[str, Any]:
    """Return the identity of an input: file, page, size in bytes, and times of the last change."""
    stat = item.file.stat()
    # copies and archives may restore the time of the content, but not that of the metadata
    times = {"mtime_ns": stat.st_mtime_ns, "ctime_ns": stat.st_ctime_ns}
    return {"file": str(item.file), "page": item.page, "bytes": stat.st_size, **times}
