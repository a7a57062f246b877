"""SVG elements as text."""

from collections.abc import Iterable
from html import escape


def element(name: str, content: str = "", /, **attributes: object) -> str:
    """One element. Underscores in names of attributes become dashes, `class_` becomes `class`. Content is markup."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"' for key, value in attributes.items()
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def text(content: str, /, **attributes: object) -> str:
    """A text element."""
    return element("text", escape(content), **attributes)


def title(content: str) -> str:
    """The tooltip of the element around it."""
    return element("title", escape(content))


def group(parts: Iterable[str], /, **attributes: object) -> str:
    """A group."""
    return element("g", "".join(parts) or " ", **attributes)


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
