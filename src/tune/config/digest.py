"""Short names for what must be equal: the same content has the same digest on every machine."""

import hashlib
import json
from typing import Any


def digest(content: Any) -> str:
    """Return the SHA-256 of plain data as 64 hex digits; keys are sorted first."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
