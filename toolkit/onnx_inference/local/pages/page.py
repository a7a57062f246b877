"""The frame of a page: one HTML file with its styles in it, which needs nothing else."""

import importlib.resources
from html import escape
from string import Template


def page(title: str, *, subtitle: str, note: str, content: str, footer: str, style: str) -> str:
    """A page. All but the title is markup.

    Args:
        title: The title and the heading.
        subtitle: The line below the heading.
        note: What the reader has to know about the numbers.
        content: Everything below that.
        footer: The last line.
        style: Styles on top of those of every page.
    """
    frame = Template(file(__package__, "page.html"))
    styles = chart_styles() + file(__package__, "page.css") + style
    return frame.substitute(
        title=escape(title), subtitle=subtitle, note=note, content=content, footer=footer, style=styles
    )


def chart_styles() -> str:
    """The styles of charts, light and dark, for a picture that is a file of its own."""
    return file(__package__, "colours.css") + file(__package__, "chart.css")


def file(package: str, name: str) -> str:
    """The text of a file of a package."""
    return importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")
