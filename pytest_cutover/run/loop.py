"""One event loop in a thread of its own: what waits there goes on while pytest reports something else."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

THREADS = 64
"""For `asyncio.to_thread`, through which gates call what blocks; its own default is a handful."""

_END_S = 2.0  # to end what was cancelled; a loop that a blocking call holds is left behind
_ANSWER_S = 0.5


class Loop:
    """Runs coroutines; all of its methods may be called from any other thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(THREADS, "cutover-aside"))
        self._thread = threading.Thread(target=self._loop.run_forever, name="cutover-loop", daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Begin it; its result can be waited for, and cancelled."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def is_blocked(self) -> bool:
        """Whether something holds the loop, so that nothing on it goes on."""
        return not wait([self.submit(asyncio.sleep(0))], _ANSWER_S).done

    def stop(self) -> None:
        """Cancel everything and end the thread."""
        wait([self.submit(_cancel_all())], _END_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_END_S)
        if not self._thread.is_alive():
            self._loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=_END_S / 2) if tasks else None
