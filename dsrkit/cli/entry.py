"""The console script: loads the commands, and ends quietly where Ctrl-C comes before they are there."""

from __future__ import annotations

import os
import sys

from dsrkit.cli.loading import loading

INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""


def main() -> None:
    """Run the command line."""
    # The threads that numpy's linear algebra starts take 0.1 s while they wait for work, of which there is none here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        with loading():
            from dsrkit.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
