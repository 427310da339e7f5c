"""Plans as text: a shell script, the configuration of one program, or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from dsrkit.errors import UsageError
from dsrkit.model.printable import json_text
from dsrkit.setup.plan import Plan, Step
from dsrkit.setup.render import comment, template
from dsrkit.setup.words import FORMATS

SCHEMA: Final = "dsrkit.setup/1"


def render(plans: Sequence[Plan], form: str = "shell", *, undo: bool = False) -> str:
    """The text of some plans in one format; `undo` takes the set-up back.

    Raises: UsageError for a format that no node has anything for.
    """
    if form not in FORMATS:
        raise UsageError(f"--format: {form!r} is not valid (one of: {', '.join(FORMATS)})")
    return _RENDERERS.get(form, _configuration(form))(plans, undo)


def reversed_steps(plan: Plan) -> tuple[Step, ...]:
    """The steps that take a plan back, the last one first."""
    return tuple(
        Step(step.kind, argv, step.back or f"no longer needed: {step.why}")
        for step in reversed(plan.steps)
        for argv in step.undo
    )


def shell(plan: Plan, *, undo: bool = False) -> str:
    """A POSIX script for one machine."""
    return template("shell.sh.j2").render(
        node=plan.node,
        role=plan.role,
        mode=plan.mode,
        notes=() if undo else plan.notes,
        steps=reversed_steps(plan) if undo else plan.steps,
        links=any(step.kind == "link" for step in plan.steps),
        undo=undo,
    )


def _shell(plans: Sequence[Plan], undo: bool) -> str:
    return "\n".join(shell(plan, undo=undo) for plan in plans)


def _json(plans: Sequence[Plan], undo: bool) -> str:
    nodes = [_node(plan, reversed_steps(plan) if undo else plan.steps) for plan in plans]
    return json_text({"schema": SCHEMA, "undo": undo, "nodes": nodes}) + "\n"


def _node(plan: Plan, steps: Sequence[Step]) -> dict[str, Any]:
    kept = ({name: value for name, value in asdict(step).items() if value not in (None, (), False)} for step in steps)
    return {
        "name": plan.node,
        "role": plan.role,
        "mode": plan.mode,
        "notes": list(plan.notes),
        "steps": list(kept),
    }


def _configuration(form: str) -> Callable[[Sequence[Plan], bool], str]:
    def found(plans: Sequence[Plan], undo: bool) -> str:
        if undo and form != "nft":
            raise UsageError(
                f"--undo takes back what a machine was told, and {form} is a file (shell, nft and json have it)"
            )
        texts = list(_texts(plans, form, undo))
        if not texts:
            names = ", ".join(plan.node for plan in plans)
            raise UsageError(f"--format {form}: nothing for it at {comment(names)} in mode {plans[0].mode}")
        return "\n".join(texts)

    return found


def _texts(plans: Sequence[Plan], form: str, undo: bool) -> Iterator[str]:
    for plan in plans:
        steps = [step for step in plan.steps if step.config == form]
        if steps:
            yield template("configuration.j2").render(plan=plan, steps=steps, undo=undo)


_RENDERERS: Final[Mapping[str, Callable[[Sequence[Plan], bool], str]]] = {"shell": _shell, "json": _json}
