"""The log handler that Lambda's runtime sets up, as far as it can fail."""

from __future__ import annotations

import logging


class LambdaLog(logging.Handler):
    """Encodes as awslambdaric's handler does, which lets what cannot be encoded out to whoever logs."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        self.lines: list[bytes] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).encode())
