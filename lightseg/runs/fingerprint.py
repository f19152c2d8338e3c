"""Fingerprints of a split: a hash of its content, a plus, and a hash of its table of class counts.

A fingerprint of an older version has no plus and no hash of the labels.
"""

import hashlib
import re

import numpy as np
import numpy.typing as npt

_FORM = re.compile(r"(?P<content>.*)\+(?P<labels>[0-9a-f]{16})", re.DOTALL)


def add_labels(content: str, class_table: npt.NDArray[np.int64]) -> str:
    """Return the fingerprint of content and labels.

    Args:
        content: `ImageDataset.fingerprint`, which may miss a changed label.
        class_table: `ImageDataset.class_table`, int64 `(N, C)`.
    """
    labels = hashlib.sha256(np.ascontiguousarray(class_table, "<i8").data).hexdigest()
    return f"{content}+{labels[:16]}"


def parse(fingerprint: str | None) -> tuple[str, str]:
    """Return the hash of the content and that of the labels; an unknown hash is empty."""
    match = _FORM.fullmatch(fingerprint or "")
    return (match["content"], match["labels"]) if match else (fingerprint or "", "")


def differ(first: str | None, second: str | None) -> bool:
    """Return whether two fingerprints are of different data; unknown labels are not different."""
    (content_1, labels_1), (content_2, labels_2) = parse(first), parse(second)
    return content_1 != content_2 or ("" not in (labels_1, labels_2) and labels_1 != labels_2)


def abbreviate(fingerprint: str | None) -> str:
    """Return the start of both hashes, for messages."""
    content, labels = parse(fingerprint)
    return content[:12] + f"+{labels[:8]}" * bool(labels)
