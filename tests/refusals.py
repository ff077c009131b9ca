"""Bad input: what a refusal has to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest


def assert_refused(
    error: type[Exception], call: Callable[[], object], words: Sequence[str]
) -> None:
    """The call raises ``error``, and its message has every one of the words."""
    with pytest.raises(error) as raised:
        call()
    missing = [word for word in words if word not in str(raised.value)]
    assert not missing, f"{raised.value} does not say {missing}"
