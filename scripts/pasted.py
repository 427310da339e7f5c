"""Run the pages that are to be pasted line by line, and paste or check their output.

Every ``sh`` block of such a page runs in one shell, one after the other, in an empty folder; a ``text`` block right
behind it is what it prints. What pip would fetch is at hand already.

Usage: ``python scripts/pasted.py [--write]``; without --write it exits with 1 if an output is out of date.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "docs/testing.md"]
BLOCK = re.compile(r"^```sh\n(?P<lines>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.DOTALL | re.MULTILINE)
MARK = "-- end of block --"
PLUGIN = "dsrkit.pytest_plugin"


def run(blocks: list[str]) -> list[str]:
    """What each block prints."""
    script = "".join(f"{block}echo '{MARK}'\n" for block in blocks if not block.startswith("pip install "))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    mine = {"PATH": path, "NO_COLOR": "1", "COLUMNS": "100", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    env = {name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")} | mine
    env["PYTEST_ADDOPTS"] = f"-p no:cacheprovider {os.environ.get('PYTEST_ADDOPTS', '')}"
    with tempfile.TemporaryDirectory() as name:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=name,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        outputs = iter(done.stdout.replace(os.path.realpath(name), "/home/you").split(f"{MARK}\n")[:-1])
    return ["" if block.startswith("pip install ") else steady(next(outputs)) for block in blocks]


def steady(output: str) -> str:
    """The output without what differs from run to run."""
    for pattern, always in ((r"\bin \d+\.\d+s\b", "in 0.25s"), (r"\bat 0x[0-9a-f]{8,}\b", "at 0x7f0000000000")):
        output = re.sub(pattern, always, output)
    lines = [line.rstrip() for line in output.splitlines()]
    return "".join(f"{line}\n" for line in lines)


def fresh(text: str) -> str:
    """A page with the outputs of today."""
    outputs = iter(run([match["lines"] for match in BLOCK.finditer(text)]))

    def pasted(match: re.Match[str]) -> str:
        output = next(outputs)
        head = f"```sh\n{match['lines']}```\n"
        return f"{head}\n```text\n{output}```\n" if match["output"] is not None else head

    return BLOCK.sub(pasted, text)


def main() -> int:
    write = sys.argv[1:] == ["--write"]
    changed = False
    for page in PAGES:
        old = page.read_text(encoding="utf-8")
        new = fresh(old)
        changed |= new != old
        if write:
            page.write_text(new, encoding="utf-8")
        elif new != old:
            name = str(page.relative_to(ROOT))
            print(
                "\n".join(difflib.unified_diff(old.splitlines(), new.splitlines(), name, f"{name} (now)", lineterm=""))
            )
    return int(changed and not write)


if __name__ == "__main__":
    sys.exit(main())
