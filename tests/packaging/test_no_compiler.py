"""dsrkit installs and works on a machine without a C compiler: slower, not broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
CAPTURE = CHECKOUT / "pcaps/l3dsr-dscp/b05-dscp-mismatch/B_lb.pcap"


def run(argv: list[str], env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A new virtual environment with dsrkit built from a copy of the source where no compiler can be found."""
    root = tmp_path_factory.mktemp("no-compiler")
    source = root / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    shutil.copytree(CHECKOUT / "dsrkit", source / "dsrkit", ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"))
    (source / "pcaps").symlink_to(CHECKOUT / "pcaps")

    venv = root / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, capture_output=True)
    env = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "LC_", "LANG"))}
    env |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    env |= {
        "PATH": str(venv / "bin"),
        "HOME": os.environ.get("HOME", str(root)),
        "CC": str(root / "there-is-no-compiler"),
        "CXX": str(root / "there-is-no-compiler"),
    }
    run([str(venv / "bin/python"), "-m", "pip", "install", "--quiet", str(source)], env, root)
    return venv, env


def test_the_build_leaves_the_compiled_scan_out(environment: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    venv, env = environment
    script = (
        "import dsrkit, pathlib\n"
        "from dsrkit.wire import scanner\n"
        "home = pathlib.Path(dsrkit.__file__).parent\n"
        "assert not [*home.rglob('*.so')], 'a compiler was found after all'\n"
        "print(home, scanner.backend())\n"
    )
    home, backend = run([str(venv / "bin/python"), "-c", script], env, tmp_path).stdout.split()
    assert Path(home).is_relative_to(venv)
    assert backend == "interpreted"


def test_help(environment: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    venv, env = environment
    assert "verify" in run([str(venv / "bin/dsrkit"), "--help"], env, tmp_path).stdout


def test_reading(environment: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    venv, env = environment
    script = f"import dsrkit\nprint(sum(len(dsrkit.decode(window)) for window in [dsrkit.read({str(CAPTURE)!r})]))\n"
    assert int(run([str(venv / "bin/python"), "-c", script], env, tmp_path).stdout) > 50


def test_verify_says_once_that_it_is_slow(environment: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    venv, env = environment
    healthy = [str(CHECKOUT / "pcaps/l2dsr/ipvs-dr" / name) for name in ("B_lb.pcap", "B_rs3.pcap")]
    done = run([str(venv / "bin/dsrkit"), "verify", *healthy], env, tmp_path)
    assert done.stdout.startswith("PASS  l2dsr ")
    assert done.stderr.startswith("note: the scan is interpreted")
    assert done.stderr.count("\n") == 1
