"""The most memory that a process has had since it began to run its program.

``ru_maxrss`` will not do: a process starts with what its parent had when it was forked. Source: Linux fs/exec.c,
exec_mmap.

``python -m robustness.peak FILE ARGS...`` is ``dsrkit ARGS...``, and writes its peak into FILE.
"""

from __future__ import annotations

import sys
from pathlib import Path


def peak_mb() -> int:
    """The peak of the resident memory of this process. Units: MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) // 1024


if __name__ == "__main__":
    from dsrkit.cli.entry import main

    result = Path(sys.argv.pop(1))
    try:
        main()
    finally:
        result.write_text(str(peak_mb()), encoding="ascii")
