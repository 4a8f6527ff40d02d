"""A time as people write it: 2h, 90m, 1h30m, 45s."""

import re

_FORM = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def seconds_of(text: str) -> int | None:
    """Return the seconds; None where the text is no time above 0."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds or None
