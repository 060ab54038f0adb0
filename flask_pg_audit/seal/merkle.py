"""Merkle trees as in RFC 6962: what a seal says of a million rows in 32 bytes."""

from __future__ import annotations

import hashlib

#: Bytes of a hash.
SIZE = 32

_NODE = b"\x01"


class MerkleTree:
    """Takes leaves one by one and knows the root at any time; keeps one hash for each level only."""

    def __init__(self) -> None:
        self._roots: list[bytes] = []  # of perfect subtrees, the largest first: one for each bit of the count
        self.count = 0

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next row."""
        node, rest = leaf, self.count
        while rest & 1:
            node = _join(self._roots.pop(), node)
            rest >>= 1
        self._roots.append(node)
        self.count += 1

    @property
    def root(self) -> bytes:
        """The root; of no leaves, the hash of nothing."""
        if not self._roots:
            return hashlib.sha256(b"").digest()
        *roots, root = self._roots
        for left in reversed(roots):
            root = _join(left, root)
        return root


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
