"""The confusion matrix of crafted faults: see tests/confusion/matrix.py.

python benchmarks/confusion.py --help
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

if __name__ == "__main__":
    from confusion.matrix import main

    sys.exit(main(sys.argv[1:]))
