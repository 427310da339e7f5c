"""What is to be done on a machine, as data: steps in order, each with its reason and with what takes it back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from posixpath import dirname
from typing import Literal, TypeAlias

from dsrkit.model.names import Mode, Role
from dsrkit.setup.words import Config

Argv: TypeAlias = tuple[str, ...]
Kind: TypeAlias = Literal[
    "module", "save", "link", "address", "route", "sysctl", "tunnel", "ipvs", "nft", "iptables", "file", "service"
]


@dataclass(frozen=True, slots=True)
class Step:
    """One command: its words, never a line of shell, so that no name in a spec can become a command.

    `undo` are the commands that take it back, in their order; none where nothing has to be (a module stays loaded).
    `back` is the reason for those, where it is not that the step is no longer needed.
    `stdin` is fed to the command, `stdout` the file that its output goes to, `once` says that a file that is there
    already is kept. `unless` is a command that succeeds where the step has been done already, or then prints `shows`.
    `config` names the program whose configuration `stdin` is. `saves` are the sysctl keys whose values have to be known
    before, in the order in which they can be set again.
    """

    kind: Kind
    argv: Argv
    why: str
    undo: tuple[Argv, ...] = ()
    stdin: str | None = None
    stdout: str | None = None
    once: bool = False
    config: Config | None = None
    saves: tuple[str, ...] = ()
    unless: Argv = ()
    shows: str | None = None
    back: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that makes one node what the spec says.

    `notes` are what no command can do, such as a setting of the service itself.
    """

    node: str
    role: Role
    mode: Mode
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    def config(self, program: Config) -> str | None:
        """The configuration that a program of this node gets, or None if it has none."""
        texts = [step.stdin for step in self.steps if step.config == program and step.stdin is not None]
        return "\n".join(texts) if texts else None


def arranged(steps: Iterable[Step], state: str) -> tuple[Step, ...]:
    """The steps of a node in the order in which they work.

    Modules come first, since they bring their sysctls along; then the values that sysctls have so far are saved in the
    folder `state`, which `undo` reads.
    """
    steps = list(dict.fromkeys(steps))
    modules = [step for step in steps if step.kind == "module"]
    others = [step for step in steps if step.kind != "module"]
    return (*modules, *_preparations(others, state), *others)


def _preparations(steps: list[Step], state: str) -> list[Step]:
    keys = tuple(dict.fromkeys(key for step in steps for key in step.saves))
    found = []
    if keys or any(step.stdout is not None for step in steps):
        why = "for the files of this set-up"
        above = ("rmdir", "--ignore-fail-on-non-empty", dirname(state))
        back = "the folder of this set-up's files, and the one above it if it is empty"
        found.append(Step("file", ("mkdir", "-p", state), why, (("rmdir", state), above), back=back))
    if keys:
        file = f"{state}/sysctl.conf"
        restore = ("sysctl", "-q", "-e", "-p", file), ("rm", "-f", file)
        why, back = "what is changed below, as it was before", "sysctls as they were before"
        found.append(Step("save", ("sysctl", "-e", *keys), why, restore, stdout=file, once=True, back=back))
    return found
