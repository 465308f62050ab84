"""reStructuredText, made of plain text."""

from __future__ import annotations

import re

#: What a reader would type: a word in quotes, a variable, an option, a table, a key, a path.
_LITERAL = re.compile(
    r'"[^"]*"|\$[A-Z_]+|(?<!\S)--[a-z-]+(?:=\w+)?|\[[a-z.]+\](?: [a-z_]+)?'
    r"|\b[a-z]+(?:_[a-z]+)+\b|(?<![\w.])/[a-z][\w/<>-]*"
)
_DOCUMENT = re.compile(r"\bdocs/([a-z-]+)\.rst\b")


def prose(text: str) -> str:
    """A paragraph, or several, with what is typed set as it is typed."""
    parts, end = [], 0
    for found in re.finditer(rf"(?P<document>{_DOCUMENT.pattern})|{_LITERAL.pattern}", text):
        parts.append(_plain(text[end : found.start()]))
        document = found[2] if found["document"] else None
        parts.append(f":doc:`{document}`" if document else literal(found[0]))
        end = found.end()
    return _spaced([*parts, _plain(text[end:])])


def literal(text: str) -> str:
    return f"``{text}``"


def marked(text: str) -> str:
    """A line of Markdown, of which nothing is asked but `` `literals` ``."""
    parts = re.split(r"`+([^`]+)`+", text)
    return _spaced(
        [literal(part) if place % 2 else _plain(part) for place, part in enumerate(parts)]
    )


def blocks(comment: str) -> str:
    """A comment: paragraphs, and between them what is moved in, which is code."""
    written = []
    for paragraph in _paragraphs(comment.splitlines()):
        if paragraph[0].startswith("  "):
            written.append("::\n\n" + "\n".join(f"   {line}" for line in paragraph))
        else:
            written.append(prose("\n".join(paragraph)))
    return "\n\n".join(written)


def moved_in(text: str, by: int = 3) -> str:
    return "\n".join(f"{' ' * by}{line}".rstrip() for line in text.splitlines())


def title(text: str, line: str) -> str:
    """:param line: of which its line is made."""
    return f"{text}\n{line * len(text)}"


def definition(name: str, about: str) -> str:
    return f"{name}\n{moved_in(about)}"


def _paragraphs(lines: list[str]) -> list[list[str]]:
    found: list[list[str]] = []
    is_code = None
    for line in lines:
        if not line.strip():
            is_code = None
            continue
        if line.startswith("  ") != is_code:
            is_code = line.startswith("  ")
            found.append([])
        found[-1].append(line)
    return found


def _plain(text: str) -> str:
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def _spaced(parts: list[str]) -> str:
    """Markup begins and ends at the edge of a word, or says that it is one."""
    return "\\ ".join(part for part in parts if part).replace(" \\ ", " ").replace("\n\\ ", "\n")
