"""The example projects, run as their reader would: copied to a folder of one's own, with the package that is tested."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import plugin_runs
import pytest
from needs import present

from dsrkit import Spec, forward
from dsrkit.testing import assert_forwarded
from dsrkit.testing.room import why_not

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PAGE = EXAMPLES.with_suffix(".md")
ADDRESSES = "020000000002020000000001"
PACKET = "45000021000100003d111786c6336407cb00710a7a690035000ddb1d68656c6c6f"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
OF_HAPROXY = [name for name in ("ss", "tcpdump", "haproxy", "curl", "python3") if not shutil.which(name)]
NEEDS = {
    "toy-balancer": why_not(),
    "katran-style": None,
    "ci-haproxy": why_not() or (f"not installed: {', '.join(OF_HAPROXY)}" if OF_HAPROXY else None),
}


def run(name: str, folder: Path, before: Sequence[str] = ()) -> str:
    """What pytest says in a copy of an example."""
    shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "DSRKIT_"))}
    done = subprocess.run(
        [*before, sys.executable, "-m", "pytest", *plugin_runs.WITH, "-p", "no:cacheprovider", "-q", "-rs"],
        cwd=folder / name,
        env={**kept, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [pytest.param(name, marks=present(NEEDS[name])) for name in NAMES])
def test_an_example_works(name: str, tmp_path: Path) -> None:
    last = run(name, tmp_path).splitlines()[-1]
    assert re.fullmatch(r"\d+ passed in .*", last), last


@pytest.mark.parametrize("name", [name for name in NAMES if name != "katran-style"])
@pytest.mark.skipif(why_not() is not None, reason="needs a user namespace to be nobody in")
def test_without_root_an_example_is_skipped_with_a_reason(name: str, tmp_path: Path) -> None:
    out = run(name, tmp_path, ["unshare", "--user"])  # root of nothing
    assert re.fullmatch(r"\d+ skipped in .*", out.splitlines()[-1]), out
    assert "root" in out


def test_every_file_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    files = [path.relative_to(PAGE.parent) for path in EXAMPLES.rglob("*.*") if path.suffix != ".pyc"]
    assert len(files) >= 9
    assert not [str(file) for file in files if f"]({file})" not in text]


def test_what_the_page_shows_of_them_is_there() -> None:
    shown = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    sources = [path.read_text(encoding="utf-8") for path in EXAMPLES.rglob("*.py")]
    assert len(shown) == len(NAMES)
    assert not [block for block in shown if not any(block in source for source in sources)]


def test_the_failure_that_the_page_shows() -> None:
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    spec = Spec.load(EXAMPLES / "katran-style" / "ipv4.toml")
    frame = bytes.fromhex(f"{ADDRESSES}0800{PACKET}")
    (made,) = forward(frame, "lb", spec, profile="katran")
    damaged = bytearray(made)
    damaged[22] -= 1
    with pytest.raises(AssertionError) as failure:
        assert_forwarded(frame, [bytes(damaged)], "lb", spec, profile="katran")
    assert f"{failure.value}\n" == shown
