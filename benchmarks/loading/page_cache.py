"""The page cache, empty: what a Lambda environment begins with."""

from __future__ import annotations

import os
from pathlib import Path

DROP = Path("/proc/sys/vm/drop_caches")


def drop() -> None:
    """Drops clean pages of every file on the machine; takes root.

    Raises:
        SystemExit: it is not allowed.
    """
    os.sync()
    try:
        DROP.write_text("3")
    except OSError as error:
        raise SystemExit(f"{DROP}: {error.strerror}: this benchmark needs a cold page cache, and so root") from None
