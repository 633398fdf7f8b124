"""Interception of the module calls of an external network, without hooks.

While a pass is intercepted, the modules of the network have classes that look for an
interceptor; after the last such pass every module has its own class again.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import nn


class Interceptor(Protocol):
    """What a pass does at each module: it makes the call, and may change its values."""

    def visit(
        self, module: InterceptedModule, call: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        """The value that the module gives."""


_INTERCEPTOR: ContextVar[Interceptor | None] = ContextVar("interceptor", default=None)
"""The interceptor of this thread's pass. It is not stored on the network, so passes in
several threads are independent."""


class InterceptedModule(nn.Module):
    """Mixed into the class of a module: its calls go to the interceptor of the pass."""

    own_class: ClassVar[type[nn.Module]]
    path_in_network: str

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's own forward pass, made by the interceptor if there is one."""
        interceptor = _INTERCEPTOR.get()
        if interceptor is None:
            return super().forward(*args, **kwargs)
        return interceptor.visit(self, super().forward, args, kwargs)


@functools.cache
def _intercepted_class(own: type) -> type:
    return type(
        own.__name__, (InterceptedModule, own), {"__module__": own.__module__, "own_class": own}
    )


@dataclass
class _OpenPasses:
    """The passes through one network that are being intercepted, and what they changed in it."""

    count: int = 0
    modules: list[nn.Module] = field(default_factory=list)
    inplace: list[nn.Module] = field(default_factory=list)


_LOCK = threading.Lock()
_OPEN: WeakKeyDictionary[nn.Module, _OpenPasses] = WeakKeyDictionary()


def current_interceptor() -> Interceptor | None:
    """The interceptor of the pass that this thread is making, if there is one."""
    return _INTERCEPTOR.get()


@contextmanager
def intercepted(
    network: nn.Module, interceptor: Interceptor, only: Container[str] | None = None
) -> Iterator[None]:
    """Let this thread's passes through a network go to an interceptor, until the block ends.

    only: paths of the modules that are intercepted; by default all but the network itself.
    Meanwhile no module works in place, so that no value is overwritten after it was seen.
    """
    with _LOCK:
        passes = _OPEN.setdefault(network, _OpenPasses())
        if not passes.count:
            _change_classes(network, only, passes)
        passes.count += 1
    token = _INTERCEPTOR.set(interceptor)
    try:
        yield
    finally:
        _INTERCEPTOR.reset(token)
        with _LOCK:
            passes.count -= 1
            if not passes.count:
                _restore_classes(_OPEN.pop(network))


def _change_classes(network: nn.Module, only: Container[str] | None, passes: _OpenPasses) -> None:
    for path, module in network.named_modules():
        if only is not None and path not in only:
            continue
        if path and not isinstance(module, torch.jit.ScriptModule):
            module.__class__ = _intercepted_class(_own_class(module))
            module.path_in_network = path
            passes.modules.append(module)
        if getattr(module, "inplace", None) is True:
            module.inplace = False
            passes.inplace.append(module)


def _own_class(module: nn.Module) -> type:
    """The module's class; a copy that was made during a pass has an intercepted one."""
    return module.own_class if isinstance(module, InterceptedModule) else type(module)


def _restore_classes(passes: _OpenPasses) -> None:
    for module in passes.inplace:
        module.inplace = True  # type: ignore[assignment]
    for module in passes.modules:
        del module.path_in_network
        module.__class__ = _own_class(module)
