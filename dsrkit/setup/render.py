"""Templates, and the rules of quoting of the languages that they are written in."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

TEMPLATES: Final = Path(__file__).parent / "templates"
END: Final = "DSRKIT_END"


def comment(text: object) -> str:
    """A text as part of a comment line: whatever could end the line, or hide on a terminal, is escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(text))


def words(argv: Iterable[str]) -> str:
    """A command for a POSIX shell: every word stays one word."""
    return " ".join(shlex.quote(word) for word in argv)


def delimiter(text: str) -> str:
    """The end of a here-document: a line that the text does not hold."""
    lines, end = set(text.splitlines()), END
    while end in lines:
        end += "_"
    return end


def family(address: str) -> str:
    """The nft family of an address, which is also the word that its packets are matched by."""
    return "ip" if ip_address(address).version == 4 else "ip6"


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # none of these is HTML: each language has a filter of its own
    )
    found.filters.update(comment=comment, sh=shlex.quote, words=words, delimiter=delimiter, family=family)
    return found


def template(name: str) -> Template:
    """One of the files of `templates`."""
    return _environment().get_template(name)
