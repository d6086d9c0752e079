"""Settings as the spec's author wrote them, for messages."""

from __future__ import annotations

from typing import Any

from data.feature import Transform

KEYS = {"hash_buckets": "hash", "buckets": "bucketise"}  # where ours differ from the spec's


def setting_text(value: Any) -> str:
    """Returns a value of a setting as YAML has it."""
    if isinstance(value, (tuple, set)):
        entries = sorted(value) if isinstance(value, set) else value
        return f"[{', '.join(map(_entry, entries))}]"
    return repr(value) if isinstance(value, str) else _entry(value)


def _entry(value: Any) -> str:
    if isinstance(value, Transform):
        bounds = ", ".join(map(_entry, value.values))
        return f"{{{value.name}: [{bounds}]}}" if value.values else value.name
    return f"{value:g}" if isinstance(value, float) else str(value)
