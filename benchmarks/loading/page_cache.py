"""Empties the page cache: a Lambda environment begins with an empty one."""

from __future__ import annotations

import os
from pathlib import Path

DROP = Path("/proc/sys/vm/drop_caches")


def drop() -> None:
    """Drops the clean pages of every file on the machine. Needs root.

    Raises:
        SystemExit: The process is not root.
    """
    os.sync()
    try:
        DROP.write_text("3")
    except OSError as error:
        raise SystemExit(f"{DROP}: {error.strerror}: this benchmark needs a cold page cache, and so root") from None
