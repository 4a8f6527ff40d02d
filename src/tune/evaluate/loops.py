"""Whether a reply is stuck: it says one thing again and again until its length limit or until it happens to stop."""

import re

import numpy as np
from numpy.typing import NDArray

COPIES = 3
"""So many copies in a row make a loop: twice is emphasis."""

LEAST = 40
"""Characters that the copies take together, at least: "very, very, very good" is no loop."""

LONGEST = 400
"""Characters of the longest piece that is looked for; a whole paragraph may come again and again."""

_MARK = re.compile(r"^\s*(?:[-*+•]|\(?\w{1,3}[.):])\s+", re.MULTILINE)
"""What stands before a line of a list: a bullet, 12. or (a); a list of equal lines differs in nothing else."""

_WORD = re.compile(r"\w")


def is_loop(text: str) -> bool:
    """Return whether one piece of the text stands three or more times in a row, anywhere in it.

    Case and the marks of lists (-, 2., b)) are put aside first; any white space counts as one space, and so does the
    end. Then the text loops where, for some piece of 1 to 400 characters, at least three whole copies follow one
    another without a gap and take, with a last one that is cut off, 40 characters or more. A piece without a letter or
    digit (the rule under a table's head, a row of stars) must besides take at least half of the text.

    Lines that differ in a number or a word are not equal, so a list that counts is no loop.
    """
    folded = "".join(f"{word} " for word in _MARK.sub("", text).casefold().split())  # the end is a space too
    codes = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), dtype="<u4")  # (T,) one a character
    for period in range(1, min(len(codes) // COPIES, LONGEST) + 1):
        start, n_equal = _longest_run(codes[period:] == codes[:-period])
        size = n_equal + period  # the first copy equals nothing before it
        if size < max(COPIES * period, LEAST):
            continue
        if _WORD.search(folded[start : start + period]) or 2 * size >= len(codes):
            return True
    return False


def _longest_run(same: NDArray[np.bool_]) -> tuple[int, int]:
    """Return where the longest run of true values starts, and how long it is."""
    breaks = np.concatenate(([-1], np.flatnonzero(~same), [len(same)]))
    gaps = np.diff(breaks)
    at = int(gaps.argmax())
    return int(breaks[at]) + 1, int(gaps[at]) - 1
