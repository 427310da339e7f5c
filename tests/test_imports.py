"""The arrows of the architecture, read from the source with `ast`: who may import whom.

Imports inside functions count as much as those at the top; imports under ``if TYPE_CHECKING:`` do not, except that
those of `dsrkit/__init__.py` must name exactly the public API.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import dsrkit

PACKAGE = Path(dsrkit.__file__).parent

# part of dsrkit → the parts it may import, besides itself
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "classes": set(),
    "model": {"classes", "errors"},
    "tables": {"classes", "errors", "model"},
    "wire": {"classes", "errors"},
    "verify": {"classes", "errors", "model", "tables", "wire"},
    "mechanisms": {"classes", "errors", "model", "tables", "wire", "verify"},
    "diagnose": {"classes", "errors", "model", "tables", "wire", "verify"},
    "cluster": {"classes", "errors", "model", "wire", "verify"},
    "verification": {"errors", "model", "verify", "mechanisms", "diagnose", "cluster"},
    "inspect": {"classes", "errors", "model", "tables", "wire", "verify", "mechanisms"},
    # other decoders beside ours
    "oracle": {"errors", "model", "wire"},
    "report": {"classes", "model"},
    "compare": {"classes", "errors", "model", "tables", "wire", "verify", "inspect"},
    "cli": {
        "compare",
        "errors",
        "model",
        "tables",
        "wire",
        "verification",
        "diagnose",
        "inspect",
        "oracle",
        "report",
        "craft",
        "setup",
        "lab",
    },
    "__main__": {"cli"},
    # assertions judge what craft makes, and compare and verify what a program made of it
    "testing": {
        "errors",
        "model",
        "wire",
        "verify",
        "diagnose",
        "verification",
        "compare",
        "report",
        "craft",
        "lab",
    },
    "pytest_plugin": {"errors", "model", "testing"},
    "pcaps": {"errors", "model"},
    # craft shares the tables with verify and nothing else (the witness rule)
    "craft": {"errors", "model", "tables"},
    "setup": {"errors", "model", "craft"},
    # judges what it recorded by verify, and builds what setup prints
    "lab": {"errors", "model", "verification", "setup"},
}

# part of dsrkit → the packages outside the standard library it may import
OUTSIDE: dict[str, set[str]] = {
    "errors": set(),
    "classes": set(),
    "model": set(),
    "tables": set(),
    "wire": {"numpy", "cython", "zstandard", "lz4"},
    "verify": {"numpy", "cython"},
    "mechanisms": {"numpy"},
    "diagnose": {"numpy"},
    "inspect": {"numpy", "cython", "pyarrow"},
    "compare": {"numpy"},
    "cluster": {"numpy", "distributed"},
    "verification": set(),
    "oracle": {"dpkt", "pyshark"},
    "report": {"rich"},
    "cli": {"typer", "click", "rich"},
    "__main__": set(),
    "testing": set(),
    "pytest_plugin": {"pytest"},
    "pcaps": set(),
    "craft": {"numpy", "scapy"},
    "setup": {"jinja2"},
    "lab": set(),
}

# the same inside craft: part of dsrkit.craft → the parts of it that it may import, besides itself
CRAFT_ARROWS: dict[str, set[str]] = {
    "frame": set(),
    "packets": set(),
    "rewrite": {"frame", "packets"},
    "profiles": {"packets", "rewrite"},
    "encapsulate": {"packets", "profiles", "rewrite"},
    "machines": {"encapsulate", "frame", "packets", "profiles", "rewrite"},
    "options": set(),
    "preset": {"options", "profiles"},
    "complete": {"options", "preset"},
    "presets": {"options", "packets", "preset"},
    "modes": {"encapsulate", "machines", "options", "packets", "preset", "presets"},
    "scenario": {"frame", "output"},  # output only inside the methods that write
    "output": {"frame", "packets", "rewrite", "scenario"},
    "faults": {"frame", "machines", "modes", "options", "packets", "presets", "profiles", "rewrite", "scenario"},
    "volume": {"frame", "machines", "options", "packets", "profiles"},
    "forward": {"machines", "modes", "options", "packets", "preset", "profiles"},
    "api": {"complete", "faults", "frame", "machines", "modes", "options", "preset", "profiles", "scenario", "volume"},
}


@dataclass(frozen=True)
class Import:
    file: Path
    line: int
    target: str  # dotted name of what is imported

    def __str__(self) -> str:
        return f"{self.file.relative_to(PACKAGE.parent)}:{self.line} imports {self.target}"


def part_of(file: Path) -> str:
    """The first name below `dsrkit`: `wire` for dsrkit/wire/scan.py, `errors` for dsrkit/errors.py."""
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def walk(node: ast.AST, *, type_checking: bool) -> Iterator[ast.AST]:
    """Every node below, without the bodies of ``if TYPE_CHECKING:`` (or with nothing else)."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            assert isinstance(child, ast.If)
            if type_checking:
                for statement in child.body:
                    yield from ast.walk(statement)
            continue
        if not type_checking:
            yield child
        yield from walk(child, type_checking=type_checking)


def imports(file: Path, *, type_checking: bool = False) -> Iterator[Import]:
    for node in walk(ast.parse(file.read_text(encoding="utf-8")), type_checking=type_checking):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                base = file.parent
                for _ in range(node.level - 1):
                    base = base.parent
                package = ".".join(("dsrkit", *base.relative_to(PACKAGE).parts))
                module = f"{package}.{module}" if module else package
            for alias in node.names:
                yield Import(file, node.lineno, f"{module}.{alias.name}")
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        ):
            yield Import(file, node.lineno, node.args[0].value)


def dsrkit_part(target: str) -> str | None:
    """The part of dsrkit an imported name belongs to; a public name counts as the module that defines it."""
    names = target.split(".")
    if names[0] != "dsrkit" or len(names) == 1 or names[1] == "__version__":
        return None
    public = len(names) == 2 and names[1] in dsrkit._HOME
    return dsrkit._HOME[names[1]].split(".")[1] if public else names[1]


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def test_every_part_has_its_arrows() -> None:
    parts = {part_of(path) for path in sources()}
    assert parts <= ARROWS.keys(), f"say in ARROWS what {sorted(parts - ARROWS.keys())} may import"
    assert ARROWS.keys() == OUTSIDE.keys()
    assert {"errors", "model", "tables", "wire", "verify", "report", "cli"} <= parts


def test_arrows_have_no_cycle() -> None:
    done: set[str] = set()
    while len(done) < len(ARROWS):
        ready = {part for part, targets in ARROWS.items() if part not in done and targets <= done}
        assert ready, f"a cycle among {sorted(ARROWS.keys() - done)}"
        done |= ready


@pytest.mark.parametrize("file", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(file: Path) -> None:
    part = part_of(file)
    wrong = []
    for found in imports(file):
        outside = found.target.split(".")[0]
        if outside == "dsrkit":
            target = dsrkit_part(found.target)
            # a bare `import dsrkit` reaches every public name, so only the top may write it
            allowed = (
                part == "cli" or "__version__" in found.target if target is None else target in ARROWS[part] | {part}
            )
        else:
            allowed = outside in sys.stdlib_module_names or outside in OUTSIDE[part]
        if not allowed:
            wrong.append(str(found))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", sorted((PACKAGE / "craft").rglob("*.py")), ids=lambda path: path.stem)
def test_craft_follows_its_own_arrows(file: Path) -> None:
    part = file.relative_to(PACKAGE / "craft").with_suffix("").parts[0]
    inside = [found for found in imports(file) if found.target.startswith("dsrkit.craft.")]
    wrong = [str(f) for f in inside if f.target.split(".")[2] not in CRAFT_ARROWS.get(part, set()) | {part}]
    assert not wrong, "\n".join(wrong)


def test_public_names_agree() -> None:
    typed = {
        found.target.rpartition(".")[2]: found.target.rpartition(".")[0]
        for found in imports(PACKAGE / "__init__.py", type_checking=True)
    }
    assert typed == dsrkit._HOME
    assert sorted({*dsrkit._HOME, "__version__"}) == sorted(dsrkit.__all__)


@pytest.mark.parametrize("name", dsrkit.__all__)
def test_public_name_loads(name: str) -> None:
    value = getattr(dsrkit, name)
    if name in dsrkit._HOME and isinstance(value, type):
        assert value.__module__ == dsrkit._HOME[name]


def test_the_reader_sees_every_kind_of_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "dsrkit"
    (package / "wire").mkdir(parents=True)
    file = package / "wire" / "x.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import only_for_types\n"
        "def f():\n    from dsrkit.tables import nat\n    from .. import verify\n"
        "    import_module('dsrkit.craft.build')\n"
    )
    monkeypatch.setitem(globals(), "PACKAGE", package)
    assert [found.target for found in imports(file)] == [
        "typing.TYPE_CHECKING",
        "dsrkit.tables.nat",
        "dsrkit.verify",
        "dsrkit.craft.build",
    ]
    assert [found.target for found in imports(file, type_checking=True)] == ["only_for_types"]
