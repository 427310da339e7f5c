"""Mutate captures for as long as one likes: many mutants of the vectors, then inputs that coverage guides (atheris).

``python scripts/fuzz.py mutants [COUNT [SEED]]`` examines as many mutants as asked for, on all cores.
``python scripts/fuzz.py guided [SECONDS]`` lets atheris look for new paths through reading, columns and dissection.

Found cases belong, as octets, into tests/robustness/test_found.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
CHUNK = 2000
MOST_OCTETS = 4096
"""Octets of the files that guidance starts from: it does better on short ones."""

sys.path.insert(0, str(TESTS))


def _chunk(seed: int, first: int, stop: int) -> str:
    """What hurt in a chunk."""
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", "robustness.examine", str(seed), str(first), str(stop)],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return f"{first}-{stop}: exit {done.returncode}\n{done.stderr[-3000:]}"
    *hurt, peak = done.stdout.splitlines()
    return "\n".join(hurt) if int(peak) <= 300 else "\n".join([*hurt, f"{first}-{stop}: {peak} MB"])


def mutants(count: int, seed: int) -> int:
    """Examine mutants in child processes; the exit code."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        chunks = [pool.submit(_chunk, seed, i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]
        hurt = []
        for i, chunk in enumerate(chunks, 1):
            if said := chunk.result():
                hurt.append(said)
                print(said, flush=True)
            print(f"{min(i * CHUNK, count)} of {count} mutants", file=sys.stderr, flush=True)
    return 1 if hurt else 0


def guided(seconds: int) -> int:
    """Let coverage guide; the exit code."""
    try:
        import atheris
    except ImportError:
        print("atheris is not there: pip install atheris (it has no wheel for every Python)", file=sys.stderr)
        return 2
    from robustness import mutations

    with atheris.instrument_imports(include=["dsrkit"]):
        from robustness import examine
    from dsrkit.errors import DsrkitError

    def one(octets: bytes) -> None:
        try:
            examine.scan(octets)
        except DsrkitError:
            return

    with tempfile.TemporaryDirectory() as folder:
        for i, (_, octets) in enumerate(mutations.corpus(MOST_OCTETS)):
            Path(folder, f"{i}").write_bytes(octets)
        limits = ["-timeout=5", "-rss_limit_mb=1024", f"-max_len={2 * MOST_OCTETS}", f"-max_total_time={seconds}"]
        print(f"{time.strftime('%H:%M:%S')}: for {seconds} s", file=sys.stderr)
        atheris.Setup([sys.argv[0], *limits, "-artifact_prefix=fuzz-", folder], one)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    what, *numbers = sys.argv[1:] or ["mutants"]
    if what == "mutants":
        sys.exit(mutants(int(numbers[0]) if numbers else 100_000, int(numbers[1]) if len(numbers) > 1 else 1))
    sys.exit(guided(int(numbers[0]) if numbers else 300))
