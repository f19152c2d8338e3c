"""Folder of predictions: what made them, which images are done, and the labels of a classification."""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lightseg.config.run_schema import PREDICTIONS
from lightseg.errors import UserError
from lightseg.files.atomic import atomic_write, locked, require_in_place, write_atomically
from lightseg.files.limited import require_limited
from lightseg.files.printable import printable_line
from lightseg.inference.inputs import Item
from lightseg.metrics.scores import ScoreKind
from lightseg.runs.records import read_mapping

FACTS, DONE, LABELS = "classes.json", "predictions.jsonl", "labels.csv"

_BYTES = 2**32
"""Limit of the size of `predictions.jsonl`; a classification has a number for each class in each line."""

_IDENTITY = {
    "sha256": "another checkpoint",
    "protocol": "another protocol",
    "protocol_large": "another protocol for large images",
    "temperature": "another temperature",
    "thresholds": "other thresholds",
}
"""Facts that all predictions of a folder share, with their names in messages."""


class Results:
    """Folder of predictions, which a later call can complete.

    Args:
        folder: An existing folder; see `open_results`.
        facts: Content of `classes.json`: the classes and the checkpoint, protocol and temperature of the predictions.
        kind: Kind of the scores of the task.

    Raises:
        UserError: If it holds predictions with other facts, or a link or a pipe in place of a file.
    """

    def __init__(self, folder: Path, facts: dict[str, Any], kind: ScoreKind) -> None:
        self.folder, self._multilabel = folder, kind.startswith("multilabel")
        for name in (FACTS, DONE, LABELS):
            self._require_free(folder / name)
        self._require_same_facts(facts)
        self._done = {record["name"]: record for record in self._records(kind, len(facts["classes"]))}
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
            recorded = read_mapping(self.folder / FACTS)
        except UserError:
            raise UserError(f"{self.folder / FACTS} is damaged; delete the folder, or give another --out") from None
        for key, name in _IDENTITY.items():
            if recorded.get(key) != facts.get(key):
                difference = f"{name} ({printable_line(str(recorded.get(key)))[:80]}; now {facts.get(key)})"
                raise UserError(
                    f"--out {self.folder} holds predictions with {difference}; give another --out, or delete the folder"
                )

    def _records(self, kind: ScoreKind, classes: int) -> Iterator[dict[str, Any]]:
        path = self.folder / DONE
        require_limited(path, _BYTES)
        if not path.exists():
            return
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    record = json.loads(line)
                    PREDICTIONS[kind].validate_python(record)
                # the last line of a killed call is incomplete; its image is predicted again
                except (ValueError, RecursionError):
                    continue
                if kind.endswith("segmentation") or _has_classes(record, classes):
                    yield record

    def _require_free(self, path: Path) -> None:
        """Check that a file of the folder is missing or a regular file, in folders that are no links."""
        advice = "remove it, or give another --out"
        for place in (path, *path.parents):
            if place == self.folder:
                return
            require_in_place(place, advice)
            if place.exists() and place.is_dir() == (place == path):
                raise UserError(f"{place}: is {'a folder' if place == path else 'a file'}, where results go; {advice}")

    def has(self, item: Item, outputs: Sequence[Path]) -> bool:
        """Return whether an image is done: its file is unchanged, and all of its outputs exist.

        Raises:
            UserError: If an output cannot be written, since a link, a pipe, a file or a folder is in its place.
        """
        for path in outputs:
            self._require_free(path)
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
            try:
                is_other = not predicted.samefile(item.file)
            except (OSError, ValueError):
                # the file of the earlier call is gone
                is_other = False
            if is_other:
                raise UserError(
                    f"--out {self.folder} holds {item.name} of {predicted}, which {item.file} would replace; "
                    "give another --out"
                )

    def write_labels(self, items: Sequence[Item], classes: Sequence[str], every_class: bool) -> None:
        """Write `labels.csv`: file, class and probability of each image that is done, by name.

        Of classes that may overlap, they are those that are predicted, and the probability of every class.

        Args:
            items: The images of this call; those of earlier calls are in the table, too.
            classes: The class names.
            every_class: Add a column with the probability of each class.
        """
        failed = {item.name for item in items if not self.has(item, [])}
        records = [self._done[name] for name in sorted(self._done.keys() - failed)]
        with atomic_write(self.folder / LABELS) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            columns = ["classes", *classes] if self._multilabel else ["class", "probability"]
            writer.writerow(["file", "page", *columns, *(classes if every_class and not self._multilabel else [])])
            for record in records:
                probabilities, page = record["probabilities"], record["input"]["page"]
                if self._multilabel:
                    label = "; ".join(name for name, has in zip(classes, record["labels"], strict=True) if has)
                    values = probabilities
                else:
                    label = classes[record["class"]]
                    values = [max(probabilities), *(probabilities if every_class else [])]
                cells = [f"{value:.6f}" for value in values]
                writer.writerow([record["input"]["file"], "" if page is None else page + 1, label, *cells])


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


def _has_classes(record: dict[str, Any], classes: int) -> bool:
    """Return whether the line of a classification has what it records for each of some number of classes."""
    probabilities, labels = record["probabilities"], record.get("labels", record["probabilities"])
    return bool(len(probabilities) == len(labels) == classes > record.get("class", 0))


def _state(item: Item) -> dict[str, Any]:
    """Return the identity of an input: file, page, size in bytes, and times of the last change."""
    stat = item.file.stat()
    # copies and archives may restore the time of the content, but not that of the metadata
    times = {"mtime_ns": stat.st_mtime_ns, "ctime_ns": stat.st_ctime_ns}
    return {"file": str(item.file), "page": item.page, "bytes": stat.st_size, **times}
