"""Run the commands that README.md and docs/ show, and paste or check their output.

A shown command is a block between two comments; the text of the first is the command, run in the root of the checkout:

    <!-- output: dsrkit verify pcaps/l2dsr/ipvs-dr/*.pcap -->
    ```console
    $ dsrkit verify pcaps/l2dsr/ipvs-dr/*.pcap
    ...
    ```
    <!-- end of output -->

Usage: ``python scripts/outputs.py [--write]``; without --write it exits with 1 if a block is out of date.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(?P<open><!-- output: (?P<command>.+?) -->\n).*?(?P<close><!-- end of output -->)", re.DOTALL)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def expand(argument: str) -> list[str]:
    """A file pattern as the shell expands it: sorted, relative to the root of the checkout."""
    if "*" not in argument:
        return [argument]
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(argument)) or [argument]


def run(command: str) -> str:
    """What the command prints on stdout, with the dsrkit that is installed beside this interpreter."""
    words = shlex.split(command)
    if words[0] != "dsrkit":
        raise ValueError(f"only dsrkit is run: {command}")
    argv = [str(Path(sys.executable).parent / "dsrkit"), *(word for part in words[1:] for word in expand(part))]
    env = os.environ | {"NO_COLOR": "1", "COLUMNS": "100", "TERM": "dumb"}
    done = subprocess.run(
        argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1) or not done.stdout:  # a crash of Python's has exit code 1 too
        raise RuntimeError(f"{command}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def filled(text: str) -> str:
    def block(match: re.Match[str]) -> str:
        command = match["command"]
        lines = [line.rstrip() for line in run(command).rstrip("\n").split("\n")]
        body = "\n".join(["```console", f"$ {command}", *lines, "```", ""])
        return f"{match['open']}{body}{match['close']}"

    return BLOCK.sub(block, text)


def stale() -> dict[Path, str]:
    """Pages that would change → their new text."""
    return {page: new for page in pages() if (new := filled(old := page.read_text(encoding="utf-8"))) != old}


def main() -> int:
    write = sys.argv[1:] == ["--write"]
    changed = stale()
    for page, new in changed.items():
        name = str(page.relative_to(ROOT))
        if write:
            page.write_text(new, encoding="utf-8")
            print(f"{name}: output pasted")
        else:
            old = page.read_text(encoding="utf-8").splitlines()
            print("\n".join(difflib.unified_diff(old, new.splitlines(), name, f"{name} (now)", lineterm="")))
    return int(bool(changed) and not write)


if __name__ == "__main__":
    sys.exit(main())
