"""Values as JSON knows them."""

import math
from collections.abc import Mapping
from typing import Any


def json_value(value: Any) -> Any:
    """Return mappings, lists and tuples with text keys, and None for NaN and infinities, which JSON has not."""
    if isinstance(value, Mapping):
        return {str(key): json_value(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
