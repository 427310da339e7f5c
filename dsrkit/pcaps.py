"""The captures that come with dsrkit: recordings of real data planes, and crafted ones, each with what to expect."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, overload

from dsrkit.errors import UsageError
from dsrkit.model.names import did_you_mean
from dsrkit.model.spec import Spec

Made = Literal["recorded", "crafted"]

_PACKAGE: Final = Path(__file__).parent
_INSTALLED: Final = _PACKAGE / "_pcaps"
_CHECKOUT: Final = _PACKAGE.parent / "pcaps"
_CASE: Final = "case.toml"
_SPEC: Final = "dsr.toml"


@dataclass(frozen=True, slots=True)
class CaseTap:
    """Where packets of a case were seen.

    `interface` is the machine's in a recording; in a crafted file it is the interface of that name, one for each tap.
    """

    name: str
    file: Path
    packets: int
    interface: str | None = None
    node: str | None = None
    role: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class CaseVerdict:
    """What `dsrkit.verify` says of all taps of a case, told nothing else.

    `modes` are those that may be reported, "undetermined" among them; `codes` those of all findings, the worst first.
    The first finding explains one of `cells` and means `nodes`, by their names in the spec. A healthy case has no cells
    and no nodes.
    """

    exit_code: int
    modes: tuple[str, ...]
    codes: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One case of the library: its files, where they come from, and what they show.

    `wrong` says in words what is broken, and `fault` is its code where the catalogue has it; both are None if nothing
    is. What was made by craft follows the tables that verify judges by: it is material for tests, and no evidence.
    """

    name: str
    folder: Path
    title: str
    mode: str
    made: Made
    healthy: bool
    wrong: str | None
    fault: str | None
    expected: CaseVerdict
    provenance: Mapping[str, Any]
    taps: tuple[CaseTap, ...]

    def __repr__(self) -> str:
        return f"<case {self.name}: {self.made}, {'healthy' if self.healthy else self.fault or 'broken'}>"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The capture files, in the order of the path."""
        return tuple(dict.fromkeys(tap.file for tap in self.taps))

    @property
    def spec(self) -> Spec:
        """The set-up as it was meant to be, whose taps are these files."""
        return Spec.load(self.folder / _SPEC)


@overload
def pcaps() -> tuple[str, ...]: ...
@overload
def pcaps(name: str) -> Case: ...


def pcaps(name: str | None = None) -> tuple[str, ...] | Case:
    """A case of the library of captures by its name, or all names.

    >>> case = pcaps("l2dsr/ipvs-dr")
    >>> case.made, case.healthy, [tap.name for tap in case.taps][:2]
    ('recorded', True, ['A_client', 'B_router'])
    >>> pcaps("crafted/l2dsr/DSR301").expected.codes
    ('DSR301',)

    Raises: UsageError for a name that no case has, or where dsrkit was installed without its captures.
    """
    folder = _home()
    names = _names(folder)
    if name is None:
        return names
    if name not in names:
        hint = did_you_mean(str(name), names) or "dsrkit.pcaps() lists them; "
        raise UsageError(f"no captures {name!r}: {hint.rstrip('; ')}")
    return _read(name, folder / name)


def _home() -> Path:
    for folder in (_INSTALLED, _CHECKOUT):
        if (folder / "README.md").is_file():
            return folder
    raise UsageError(
        f"dsrkit was installed without its captures ({_INSTALLED} is not there): install the wheel, or use a checkout"
    )


@cache
def _names(folder: Path) -> tuple[str, ...]:
    """Recordings first, then what was crafted."""
    found = [path.parent.relative_to(folder).as_posix() for path in folder.rglob(_CASE)]
    return tuple(sorted(found, key=lambda name: (name.count("/"), name)))


def _read(name: str, folder: Path) -> Case:
    case = tomllib.loads((folder / _CASE).read_text(encoding="utf-8"))
    expected = case["expected"]
    return Case(
        name=name,
        folder=folder,
        title=case["title"],
        mode=case["mode"],
        made=case["made"],
        healthy=case["healthy"],
        wrong=case.get("wrong"),
        fault=case.get("fault"),
        expected=CaseVerdict(
            exit_code=expected["exit_code"],
            modes=tuple(expected["modes"]),
            codes=tuple(expected["codes"]),
            cells=tuple(expected["cells"]),
            nodes=tuple(expected["nodes"]),
        ),
        provenance=case["provenance"],
        taps=tuple(_tap(tap, folder) for tap in case["tap"]),
    )


def _tap(tap: Mapping[str, Any], folder: Path) -> CaseTap:
    file = folder / tap["file"]
    return CaseTap(
        name=tap.get("name", file.stem),
        file=file,
        packets=tap["packets"],
        interface=tap.get("interface"),
        node=tap.get("node"),
        role=tap.get("role"),
        link=tap.get("link"),
    )
