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


def test_the_captures_are_in_the_wheel_and_nothing_else_of_the_checkout() -> None:
    files = [str(file) for file in importlib.metadata.files("dsrkit") or []]
    assert files
    captures = [file for file in files if re.search(r"\.(pcap|pcapng)$", file)]
    assert not [file for file in captures if not file.startswith("dsrkit/_pcaps/")]
    assert not [file for file in files if re.search(r"\.c$|^pcaps/|^tests/|/_tools/", file)]


@pytest.mark.skipif(not os.environ.get("DSRKIT_TEST_WHEEL"), reason="not run by `make test`")
def test_every_capture_of_the_checkout_is_installed() -> None:
    installed = contents(Path(dsrkit.__file__).parent / "_pcaps")
    assert installed == contents(CHECKOUT / "pcaps")
    assert {case.folder.parents[1].name for case in map(dsrkit.pcaps, dsrkit.pcaps())} == {"_pcaps", "crafted"}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "_tools" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_every_module_of_the_checkout_is_installed() -> None:
    installed = {path.relative_to(Path(dsrkit.__file__).parent) for path in Path(dsrkit.__file__).parent.rglob("*.py")}
    source = {path.relative_to(CHECKOUT / "dsrkit") for path in (CHECKOUT / "dsrkit").rglob("*.py")}
    assert source == installed
