"""A real browser, where the machine has one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def opened(page: Path, profile: Path) -> subprocess.CompletedProcess[str]:
    """Opens a page and runs its scripts. Its DOM is on standard output, its console on standard error.

    Args:
        page: The file.
        profile: A directory for the browser's own files.
    """
    assert CHROMIUM is not None
    return subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            "--virtual-time-budget=4000",
            f"--user-data-dir={profile}",
            "--window-size=1500,1000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
