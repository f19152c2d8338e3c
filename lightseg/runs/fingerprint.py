"""Fingerprints of a split: a hash of its content, a plus, and a hash of how much each sample has of each class.

A fingerprint of an older version ends before the plus: nothing is known of its labels.
"""

import hashlib
import re

import numpy as np
import numpy.typing as npt

_FORM = re.compile(r"(?P<content>.*)\+(?P<labels>[0-9a-f]{16})", re.DOTALL)


def add_labels(content: str, class_table: npt.NDArray[np.int64]) -> str:
    """Return the fingerprint of a content and its labels.

    Args:
        content: `ImageDataset.fingerprint`, which may not see a label that has changed.
        class_table: `ImageDataset.class_table`.
    """
    labels = hashlib.sha256(np.ascontiguousarray(class_table, "<i8").data).hexdigest()
    return f"{content}+{labels[:16]}"


def parse(fingerprint: str | None) -> tuple[str, str]:
    """Return the hash of the content and that of the labels; empty is what is not known."""
    match = _FORM.fullmatch(fingerprint or "")
    return (match["content"], match["labels"]) if match else (fingerprint or "", "")


def differ(first: str | None, second: str | None) -> bool:
    """Return whether two fingerprints are of other data; labels that are not known are no others."""
    (content, labels), (other_content, other_labels) = parse(first), parse(second)
    return content != other_content or ("" not in (labels, other_labels) and labels != other_labels)


def abbreviate(fingerprint: str | None) -> str:
    """Return the beginning of both hashes, enough to tell a few data sets apart."""
    content, labels = parse(fingerprint)
    return content[:12] + f"+{labels[:8]}" * bool(labels)
