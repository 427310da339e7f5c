"""`dsrkit --help` costs less than 0.3 s of CPU and loads nothing heavy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_S = 0.3
RUNS = 5


def command() -> str:
    found = shutil.which("dsrkit", path=str(Path(sys.executable).parent))
    assert found, "the console script is not installed beside the interpreter"
    return found


def cpu_seconds(argv: list[str]) -> float:
    """User and system time of one run, children included."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, errors.decode()
    return usage.ru_utime + usage.ru_stime


def test_help_is_quick() -> None:
    # the first run writes byte code; the least of several is what the machine can do when nothing disturbs it
    argv = [command(), "--help"]
    cpu_seconds(argv)
    assert min(cpu_seconds(argv) for _ in range(RUNS)) < LIMIT_S


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from dsrkit.cli.main import main\n"
        "sys.argv = ['dsrkit', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'numpy', 'scapy', 'dpkt', 'pyshark', 'lz4', 'zstandard', 'jsonschema'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {sorted(heavy)}' if heavy else 0)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


CAPTURES = [str(path) for path in sorted((Path(__file__).parents[2] / "pcaps" / "nat" / "ipvs-nat").glob("*.pcap"))]
CONVERTERS = {"pydantic", "pydantic_core"}
CRAFTING = {"scapy", "dsrkit.craft.api", "dsrkit.cli.craft", "dsrkit.cli.lab", "dsrkit.cli.setup"}
FINDING = {"dsrkit.diagnose.registry", "dsrkit.diagnose.findings", "dsrkit.mechanisms.takeover.conclude"}
READING = {"numpy", "dsrkit.verification", "dsrkit.verify.pipeline", "dsrkit.inspect.view"}


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], READING | CONVERTERS | {"rich", "tomllib", "scapy"}),
        (["--version"], READING | CONVERTERS | CRAFTING | {"rich", "tomllib", "dsrkit.cli.inspect"}),
        (["explain", "DSR301"], READING | CONVERTERS | CRAFTING | {"rich"}),
        (["rules"], READING | CONVERTERS | CRAFTING | {"rich"}),
        (["verify", "--format", "json", *CAPTURES], CONVERTERS | CRAFTING | {"rich", "jsonschema", "numpy.ma"}),
        (
            ["verify", "--jobs", "2", *CAPTURES],
            CONVERTERS | CRAFTING | FINDING | {"rich", "jsonschema", "dsrkit.inspect.view", "numpy.ma"},
        ),
        (["inspect", "-c", "3", CAPTURES[0]], CONVERTERS | CRAFTING | {"pyarrow", "dsrkit.verification", "numpy.ma"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_loads_what_it_uses(arguments: list[str], absent: set[str]) -> None:
    script = (
        "import sys\n"
        "from dsrkit.cli.entry import main\n"
        f"sys.argv = ['dsrkit', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code in (0, 1, None), end.code\n"
        f"heavy = {absent!r} & set(sys.modules)\n"
        "sys.exit(f'loaded: {sorted(heavy)}' if heavy else 0)\n"
    )
    piped = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR", "CLICOLOR_FORCE")
    }
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=piped)
    assert run.returncode == 0, run.stderr


def test_import_loads_nothing_heavy() -> None:
    script = "import sys, dsrkit; sys.exit(sorted({'numpy', 'scapy', 'typer', 'rich'} & set(sys.modules)) or 0)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_public_names_stay_what_they_are() -> None:
    """A function and a subpackage are both called verify: imports of the latter must not replace the former."""
    script = (
        "from dsrkit import verification\n"
        "import dsrkit, dsrkit.verify.scene\n"
        "assert dsrkit.verify is verification.verify, dsrkit.verify\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
