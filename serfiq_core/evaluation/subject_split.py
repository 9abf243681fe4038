"""Subjects that are learnt from and subjects that are tested on: never the same.

A subject falls to one side by the hash of its name alone: the split is the same on every machine,
does not change when photographs or other subjects are added, and needs no list to be kept
beside the weights.
"""

import hashlib
from collections.abc import Iterable

from serfiq_core.evaluation.subjects import Photograph

TEST_SHARE = 0.3
"""Of the subjects. Of LFW's development split (4,009 subjects) 1,198 are tested on, with 2,525
photographs, 9,992 mated pairs, and 740 pairs of the official list."""


def is_test_subject(subject: str) -> bool:
    """Whether this subject is kept out of training, as `TEST_SHARE` of all subjects are."""
    digest = hashlib.sha256(subject.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < TEST_SHARE * 2**64


def split_by_subject(
    photographs: Iterable[Photograph],
) -> tuple[tuple[Photograph, ...], tuple[Photograph, ...]]:
    """Photographs to learn from, and photographs to test on; their order is kept."""
    train: list[Photograph] = []
    test: list[Photograph] = []
    for photograph in photographs:
        (test if is_test_subject(photograph.subject) else train).append(photograph)
    return tuple(train), tuple(test)
