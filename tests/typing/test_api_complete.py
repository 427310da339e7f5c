"""The typed example uses the whole public API, so a new name cannot go unchecked."""

from __future__ import annotations

import ast
from pathlib import Path

import dsrkit
import dsrkit.testing


def test_every_public_name_is_used() -> None:
    tree = ast.parse(Path(__file__).with_name("api.py").read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {*dsrkit.__all__, *dsrkit.testing.__all__} <= used


def test_the_package_says_that_it_is_typed() -> None:
    assert Path(dsrkit.__file__).with_name("py.typed").exists()
