"""Long computations outside the page's own thread, with progress and a way to stop them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from auditgame.schema.errors import AuditgameError

Progress = Callable[[float, str], None]
"""Takes the share that is done, from 0 to 1, and a description of the current step."""


class BackgroundTask:
    """One computation in a thread of its own; the page polls it."""

    def __init__(self, work: Callable[[Progress], Any], name: str) -> None:
        self.name = name
        self.share = 0.0
        self.step = "starting"
        self.result: Any = None
        self.error: str | None = None
        self._work = work
        self._stop = threading.Event()
        self._ended = threading.Event()
        threading.Thread(target=self._run, name=f"task {name}", daemon=True).start()

    @property
    def ended(self) -> bool:
        """Has it finished, failed or been stopped?"""
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most this long; True where it has ended."""
        return self._ended.wait(seconds)

    def stop(self) -> None:
        """Ask it to stop the next time that it reports progress."""
        self._stop.set()

    def _report(self, share: float, step: str) -> None:
        from auditgame.tools import Stopped

        if self._stop.is_set():
            raise Stopped
        self.share, self.step = min(max(share, 0.0), 1.0), step

    def _run(self) -> None:
        from auditgame.tools import Stopped

        try:
            self.result = self._work(self._report)
        except Stopped:
            self.error = "Stopped. A tool that did not finish shows nothing."
        except AuditgameError as error:
            self.error = str(error)
        except Exception:
            self.error = f"{self.name}: failed with an internal error; see the server log"
            raise
        finally:
            self._ended.set()
