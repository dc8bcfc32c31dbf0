"""What an error must be: the exact class, one sentence, and the words that help."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def error(exception: type[Exception], *words: str) -> Iterator[None]:
    """Expect exactly ``exception``, in one line that ends in a full stop or a question mark and holds all ``words``."""
    with pytest.raises(exception) as caught:
        yield
    message = str(caught.value)
    assert caught.type is exception, f"{caught.type.__name__} instead of {exception.__name__}: {message}"
    missing = [word for word in words if word not in message]
    assert not missing, f"{missing} not in: {message}"
    assert "\n" not in message, message
