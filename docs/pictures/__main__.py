"""Writes the pictures: `python -m docs.pictures`."""

from __future__ import annotations

from .prebuilt import DIRECTORY, PICTURES, picture

for name in PICTURES:
    (DIRECTORY / f"{name}.svg").write_text(picture(name), encoding="utf-8")
    print(f"docs/pictures/{name}.svg")
