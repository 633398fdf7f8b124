"""Long work beside the page: a thread with progress that can be watched and stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from auditgame.schema.errors import AuditgameError

Progress = Callable[[float, str], None]


class BackgroundTask:
    """One piece of work in a thread of its own; the page looks in on it from time to time."""

    def __init__(self, work: Callable[[Progress], Any], name: str) -> None:
        self.name = name
        self.share = 0.0
        self.words = "starting"
        self.result: Any = None
        self.error: str | None = None
        self._work = work
        self._stop = threading.Event()
        self._over = threading.Event()
        threading.Thread(target=self._run, name=f"errand {name}", daemon=True).start()

    @property
    def over(self) -> bool:
        """Is it finished, failed or stopped?"""
        return self._over.is_set()

    def wait(self, seconds: float) -> bool:
        """Give it so long to finish; whether it did."""
        return self._over.wait(seconds)

    def stop(self) -> None:
        """Ask it to stop at its next sign of progress."""
        self._stop.set()

    def _report(self, share: float, words: str) -> None:
        from auditgame.tools import Stopped

        if self._stop.is_set():
            raise Stopped
        self.share, self.words = min(max(share, 0.0), 1.0), words

    def _run(self) -> None:
        from auditgame.tools import Stopped

        try:
            self.result = self._work(self._report)
        except Stopped:
            self.error = "Stopped. Nothing is shown for a tool that did not finish."
        except AuditgameError as error:
            self.error = str(error)
        except Exception:
            self.error = f"{self.name}: failed inside; the host's log says why"
            raise
        finally:
            self._over.set()
