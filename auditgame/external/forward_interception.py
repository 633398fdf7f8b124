"""Somebody else's modules, made to go by a listener: their calls are seen, without hooks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import torch
from torch import nn


class InterceptingModule(Protocol):
    """What a pass does at each module: it makes the call itself, and may change the value."""

    def visit(self, module: Interception, call: Callable[..., Any], args: Any, more: Any) -> Any:
        """Make the call."""


_LISTENER: ContextVar[InterceptingModule | None] = ContextVar("listener", default=None)
"""Whoever listens to the pass that this thread is making. Not kept on the network, so that
passes in several threads cannot meet; and no hook is ever registered."""


class Interception(nn.Module):
    """Mixed into the class of every module of a network: its calls go by the listener."""

    path: str

    def forward(self, *args: Any, **more: Any) -> Any:
        """The module's own forward pass."""
        listener = _LISTENER.get()
        if listener is None:
            return super().forward(*args, **more)
        return listener.visit(self, super().forward, args, more)


@functools.cache
def _listening(kind: type[nn.Module]) -> type[nn.Module]:
    return type(kind.__name__, (Interception, kind), {"__module__": kind.__module__})


def make_interceptable(network: nn.Module, only: Container[str] | None = None) -> None:
    """Let every module, or those of these paths, be listened to; none overwrites what it is given.

    A module's class is changed for one that looks for a listener: nothing is hung on it.
    """
    for path, module in network.named_modules():
        if only is not None and path not in only:
            continue
        if path and not isinstance(module, torch.jit.ScriptModule):
            module.path = path
            module.__class__ = _listening(module.__class__)
        if getattr(module, "inplace", None) is True:
            module.inplace = False


def intercepting() -> InterceptingModule | None:
    """Who listens to the pass that this thread is making, if anybody."""
    return _LISTENER.get()


@contextmanager
def intercepted_by(listener: InterceptingModule) -> Iterator[None]:
    """While this lasts, the passes of this thread go by the listener."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
