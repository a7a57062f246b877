"""A log handler that fails where Lambda's own does."""

from __future__ import annotations

import logging


class LambdaLog(logging.Handler):
    """Encodes each line, as awslambdaric's handler does: if a line cannot be encoded, the call that logs it raises."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        self.lines: list[bytes] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).encode())
