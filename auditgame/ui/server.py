"""What the app's ASGI server needs: its script, guest cookies, and an early import of torch."""

from __future__ import annotations

import importlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware

from auditgame.ui.identity import GuestCookie
from auditgame.ui.session import guest_tokens

SCRIPT = Path(__file__).with_name("script") / "app.py"
WARM_AFTER_SECONDS = 2.0


@asynccontextmanager
async def warm(_: Any) -> AsyncIterator[None]:
    """Import torch in the background, shortly after the first pages can be served."""
    timer = threading.Timer(WARM_AFTER_SECONDS, importlib.import_module, ["torch"])
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()


def cookies() -> Middleware:
    """The middleware that gives every visitor a signed cookie."""
    return Middleware(GuestCookie, tokens=guest_tokens())
