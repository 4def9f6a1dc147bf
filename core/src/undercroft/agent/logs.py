"""The agent's log: structlog's rendering on the standard library's logging, with the worker's path on each line.

Plugins log with `logging.getLogger(__name__)` and know nothing of this. Lines go to stderr: for people on a terminal,
one JSON object a line otherwise (the journal, a file, a log shipper).
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Literal, TextIO

from undercroft import current_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_OURS = ("undercroft", "undercroft_")


class _WorkerPath(logging.Filter):
    """Note on each record which worker's code logged it."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Here and not in the formatter: a handler's filter runs in the task that logs, so the context is the worker's.
        worker = current_worker.get()
        if worker is not None:
            record.worker = worker
        return True


class StderrHandler(logging.Handler):
    """Write to what is stderr now; a reader that has gone away is not the agent's trouble."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        stream = self._stream or sys.stderr
        try:
            stream.write(self.format(record) + "\n")
            stream.flush()
        except OSError:
            pass
        except Exception:  # As logging's own handlers have it: a line that cannot be rendered must not stop a worker.
            self.handleError(record)


def configure(
    *, level: int = logging.INFO, form: Literal["auto", "text", "json"] = "auto", stream: TextIO | None = None
) -> Callable[[], None]:
    """Send the whole process's log to `stream` (stderr by default); returns what undoes it.

    `auto` is text on a terminal and JSON otherwise. Other libraries' lines below WARNING are left out unless `level` is
    DEBUG.
    """
    target = stream or sys.stderr
    text = form == "text" or (form == "auto" and target.isatty())
    handler = StderrHandler(stream)
    handler.addFilter(_WorkerPath())
    handler.addFilter(_Quiet(level))
    handler.setFormatter(_formatter(text=text, colours=text and target.isatty()))
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)

    def restore() -> None:
        root.setLevel(before[0])
        root.handlers[:] = before[1]
        logging.captureWarnings(False)

    return restore


class _Quiet(logging.Filter):
    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        foreign = not record.name.startswith(_OURS)
        return not (foreign and self._level > logging.DEBUG and record.levelno < logging.WARNING)


def _formatter(*, text: bool, colours: bool) -> logging.Formatter:
    _load_structlog()
    import structlog  # noqa: PLC0415

    shared: list[Any] = [  # Any: structlog's processors have no common public type that mypy accepts in a list.
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True)
        if not text
        else structlog.processors.TimeStamper("%H:%M:%S", utc=False),
    ]
    last: Sequence[Any]
    if text:
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0, exception_formatter=plain)]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *last])


def _load_structlog() -> None:
    """Import structlog without rich, for which it has no use here: a fifth of a second, and 7 MB for the agent's life.

    Late, too: commands that do not log should not pay for it at all.
    """
    if {"structlog", "rich"} & sys.modules.keys():
        return
    # What Python documents for "this cannot be imported"; structlog then does without, as on a machine without rich.
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import_module("structlog")
    finally:
        del sys.modules["rich"]
