"""What is tested is what users get: the wheel, with its compiled scan."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
from pathlib import Path

import pytest

import dsrkit

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.skipif(not os.environ.get("DSRKIT_TEST_WHEEL"), reason="not run by `make test`")
def test_the_installed_package_is_tested_and_not_the_checkout() -> None:
    home = Path(dsrkit.__file__).resolve()
    assert home.is_relative_to(Path(sys.prefix).resolve())
    assert "site-packages" in home.parts
    assert CHECKOUT / "dsrkit" not in home.parents


@pytest.mark.skipif(not os.environ.get("CI"), reason="outside CI a machine may have no compiler")
def test_the_scan_is_compiled_in_ci() -> None:
    from dsrkit.wire import scanner

    assert scanner.backend() == "compiled"


def test_version_of_the_metadata() -> None:
    assert importlib.metadata.version("dsrkit") == dsrkit.__version__


def test_no_captures_in_the_wheel() -> None:
    files = importlib.metadata.files("dsrkit") or []
    assert files
    assert not [str(file) for file in files if re.search(r"\.(pcap|pcapng|c)$|^pcaps/|^tests/", str(file))]


def test_every_module_of_the_checkout_is_installed() -> None:
    installed = {path.relative_to(Path(dsrkit.__file__).parent) for path in Path(dsrkit.__file__).parent.rglob("*.py")}
    source = {path.relative_to(CHECKOUT / "dsrkit") for path in (CHECKOUT / "dsrkit").rglob("*.py")}
    assert source == installed
