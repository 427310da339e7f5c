"""Run the commands that README.md and docs/ show, and paste or check their output.

Shown commands are a block between two comments. The text of the first is the commands, joined by ``&&``:

    <!-- output: dsrkit craft nat -w nat.pcapng && dsrkit verify nat.pcapng -->
    ```console
    $ dsrkit craft nat -w nat.pcapng
    ...
    $ dsrkit verify nat.pcapng
    ...
    ```
    <!-- end of output -->

They run on a page 100 columns wide, in an empty folder of their own which holds the checkout's ``pcaps``; what they
write stays there, for the commands behind them.

Usage: ``python scripts/outputs.py [--write]``; without --write it exits with 1 if a block is out of date.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(?P<open><!-- output: (?P<commands>.+?) -->\n).*?(?P<close><!-- end of output -->)", re.DOTALL)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def run(command: str, folder: Path) -> str:
    """What a terminal shows of the command; dsrkit is the one that is installed beside this interpreter."""
    if not command.startswith("dsrkit "):
        raise ValueError(f"only dsrkit is run: {command}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "NO_COLOR": "1", "COLUMNS": "100", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    # a crash of Python's has exit code 1 too
    if done.returncode not in (0, 1) or not done.stdout or "Traceback" in done.stdout:
        raise RuntimeError(f"{command}: exit code {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def shown(commands: str) -> str:
    """The commands, each with its output, as a block of code."""
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pcaps").symlink_to(ROOT / "pcaps")
        for command in commands.split(" && "):
            lines += [f"$ {command}", *run(command, folder).rstrip("\n").split("\n")]
    return "\n".join(["```console", *(line.rstrip() for line in lines), "```", ""])


def stale() -> dict[Path, str]:
    """Pages that would change → their new text."""
    texts = {page: page.read_text(encoding="utf-8") for page in pages()}
    found = sorted({match["commands"] for text in texts.values() for match in BLOCK.finditer(text)})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = dict(zip(found, pool.map(shown, found), strict=True))
    filled = {
        page: BLOCK.sub(lambda match: f"{match['open']}{blocks[match['commands']]}{match['close']}", text)
        for page, text in texts.items()
    }
    return {page: text for page, text in filled.items() if text != texts[page]}


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
