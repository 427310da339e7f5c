"""What all commands share: the user's mistakes, standard streams, options that are one word of many."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO

import typer

from dsrkit.errors import DsrkitError, UsageError
from dsrkit.model.names import did_you_mean

CLOSED: Final = "cannot write: the output is closed"


@contextmanager
def user_errors() -> Iterator[None]:
    """One line and exit code 2 for the user's mistakes; a bug keeps its traceback."""
    try:
        yield
    except DsrkitError as error:
        complain(f"error: {error}")
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def complain(message: str) -> None:
    """One line on stderr, whatever a file or a packet put into it."""
    from dsrkit.report.escape import escape

    with suppress(UsageError):  # there is nowhere left to say that stderr itself fails
        write(sys.stderr, escape(message) + "\n")


def write(stream: TextIO | None, text: str) -> None:
    """`write_all` of one text, to a standard stream that may be closed, gone, or of a smaller character set."""
    write_all(stream, [text])


def write_all(stream: TextIO | None, texts: Iterable[str]) -> None:
    """Write texts as they come, until there are no more or nobody reads them.

    Raises: UsageError where they cannot be written, as to a stream that is closed from the start (None).
    """
    if stream is None:
        if any(texts):
            raise UsageError(CLOSED)
        return
    encoding = stream.encoding or "utf-8"
    with writing(stream):
        for text in texts:
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def write_to(output: str | None, text: str) -> None:
    """Write a text to the file of ``-o``, or to stdout without one.

    Raises: UsageError where the file cannot be written.
    """
    if output is None or output == "-":
        write(sys.stdout, text)
        return
    try:
        Path(output).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"cannot write {output!r}: {error.strerror or error}") from None


@contextmanager
def writing(stream: TextIO | BinaryIO) -> Iterator[None]:
    """Flush a standard stream after what is written to it; a reader that has seen enough ends it quietly."""
    try:
        yield
        stream.flush()
    except OSError as error:
        # What is still buffered must not raise again when the interpreter exits.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise UsageError(f"cannot write: {error.strerror or error}") from None


def page(*, no_color: bool, to_stdout: bool = True) -> tuple[bool, int | None]:
    """Whether text for stdout (or a file) is coloured, and the width that it is wrapped to, if any.

    FORCE_COLOR and CLICOLOR_FORCE colour what goes through a pipe, too: for `less -R`.
    """
    terminal = to_stdout and sys.stdout is not None and sys.stdout.isatty()
    forced = to_stdout and any(os.environ.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    able = forced or (terminal and os.environ.get("TERM") != "dumb")
    color = able and not no_color and not os.environ.get("NO_COLOR")
    wraps = terminal or (to_stdout and "COLUMNS" in os.environ)
    return color, shutil.get_terminal_size().columns if wraps else None


def word(words: Collection[str]) -> Callable[[str | None], str | None]:
    """A check that an option is one of `words`; the message names the nearest."""

    def check(value: str | None) -> str | None:
        if value is None or value in words:
            return value
        hint = did_you_mean(value.lower(), words)
        raise typer.BadParameter(f"{value!r} is not valid ({hint}one of: {', '.join(words)})")

    return check


def complete(words: Collection[str]) -> Callable[[str], list[str]]:
    """What the shell offers for an option that is one of `words`."""

    def matching(incomplete: str) -> list[str]:
        return [one for one in words if one.startswith(incomplete)]

    return matching


def one_of(words: Collection[str], names: str, text: str, metavar: str | None = None) -> Any:
    """An option that is one word of several; `names` are its names, as ``"--format -T"``."""
    shown = metavar or "|".join(words)
    return typer.Option(*names.split(), metavar=shown, callback=word(words), autocompletion=complete(words), help=text)


def chosen(incomplete: str) -> list[str]:
    """What the shell offers for codes and cells: the last of several behind a comma."""
    from dsrkit.diagnose.chosen import words_to_choose

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{one}" for one in words_to_choose() if one.lower().startswith(last.lower())]


def split(values: list[str] | None) -> tuple[str, ...]:
    """Values of an option that may be repeated or hold commas."""
    parts = (part.strip() for value in values or () for part in value.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def addresses(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses that are some, in their usual form."""
    from ipaddress import ip_address

    try:
        return tuple(str(ip_address(text)) for text in texts)
    except ValueError as error:
        raise UsageError(f"--vip: {error}") from None


def check_output(output: str | None, inputs: list[str], option: str = "-o") -> None:
    """Refuse a bad place to write to before the work, not after it."""
    if output is None or output == "-":
        return
    path = Path(output)
    if any(file != "-" and os.path.realpath(file) == os.path.realpath(path) for file in inputs):
        raise UsageError(f"{option} {output!r} would overwrite an input")
    if path.is_dir():
        raise UsageError(f"{option} {output!r} is a directory")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {output!r}: the folder {str(path.parent)!r} does not exist")
