"""How the methods of both clients come to look like the functions that they are made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def named_after(make: Callable[..., Any], method: Method) -> Method:
    """`method` with the name, the text and the parameters of `make`, after `self`: for `help()`."""
    method.__name__ = make.__name__
    method.__doc__ = make.__doc__
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = [own, *inspect.signature(make).parameters.values()]
    method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return method
