"""The examples in the docstrings of the model and the renderers."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["dsrkit.model.dscp", "dsrkit.model.spec", "dsrkit.report.escape"])
def test_examples(name: str) -> None:
    outcome = doctest.testmod(import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0
