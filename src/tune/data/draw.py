"""Seeded draws that depend on what a row says, never on its place in a file."""

import hashlib

from tune.examples import Example


def content_key(row: Example) -> bytes:
    """Return 16 bytes that stand for the row's messages and answer; its id, label and group do not count."""
    said = repr(([(turn.role, turn.content) for turn in row.messages], row.answer))  # repr escapes half surrogates
    return hashlib.blake2b(said.encode(), digest_size=16).digest()


def order_in_split(key: bytes, *, seed: int) -> float:
    """Return what the rows of a split are sorted by, so that the first n are a fair sample; from their keys."""
    return lot(key, seed=seed, purpose="order")


def lot(key: bytes, *, seed: int, purpose: str) -> float:
    """Return a number from 0 up to but not 1, the same for the same key, seed and purpose.

    Args:
        key: What draws, for example a row's `content_key`.
        seed: `data.seed`.
        purpose: What is drawn for; draws for different purposes are independent.
    """
    digest = hashlib.blake2b(f"{purpose} {seed} ".encode() + key, digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53  # all the bits that a float between 0 and 1 holds
