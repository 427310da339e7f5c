"""What is crafted: every fault in every mode and IP version, and variations that meet in pairs.

A case is first crafted as it is, with all taps. Then rows of a covering array vary profile, seed, taps, size, weather,
links and clients at once, so that any two values of two factors meet somewhere; each case takes a few rows, the next
case the next few.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations, islice, product
from typing import Any, Final

from dsrkit import Scenario, craft
from dsrkit.craft.faults import FAULTS
from dsrkit.craft.options import TUNNELS
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES

VERSIONS: Final = ("4", "6")
FACTORS: Final[Mapping[str, tuple[Any, ...]]] = {
    "taps": ("all", "first", "second", "last", "first+second", "second+last"),
    "profile": (None, "generic", "katran", "cilium", "glb"),
    "weather": ({}, {"jitter": "5ms"}, {"skew": "3ms"}, {"loss": "2%"}),
    "seed": (0, 1, 2),
    "link": ({}, {"vlan": 100}, {"snaplen": 96}),
    "client": ({}, {"ecn": True}, {"client_dscp": "EF"}),
    "size": ({}, {"clients": 3, "real_servers": 4, "flows": 12}),
}
_GIVEN_UP: Final = ("profile", "client", "size", "link", "weather")
"""Factors whose value a case may not be able to have, in the order in which it goes without."""

Row = Mapping[str, Any]
PLAIN: Final[Row] = {name: values[0] for name, values in FACTORS.items()}


@dataclass(frozen=True)
class Case:
    """One call of craft; `fault` is None for a healthy set-up."""

    fault: str | None
    mode: str
    ip: str
    row: Row = field(default_factory=lambda: PLAIN)
    tunnel: str | None = None

    @property
    def plain(self) -> bool:
        return self.row == PLAIN

    def __str__(self) -> str:
        varied = [
            f"{k}={v if not isinstance(v, dict) else ','.join(f'{a}:{b}' for a, b in v.items())}"
            for k, v in self.row.items()
            if v != PLAIN[k]
        ]
        tunnel = [f"tunnel={self.tunnel}"] if self.tunnel else []
        return " ".join([self.fault or "healthy", self.mode, f"IPv{self.ip}", *tunnel, *varied])

    def craft(self) -> Scenario | None:
        """The packets, varied as far as the case can be; None where there are none, as for a fault of ARP in IPv6."""
        row = dict(self.row)
        for given_up in (None, *_GIVEN_UP):
            if given_up is not None:
                if row[given_up] == PLAIN[given_up]:
                    continue
                row[given_up] = PLAIN[given_up]
            try:
                return self._craft(row)
            except UsageError:
                continue
        return None

    def _craft(self, row: Row) -> Scenario:
        options = {"ip": self.ip, **row["weather"], **row["link"], **row["client"], **row["size"]}
        if self.tunnel is not None:
            options["tunnel"] = self.tunnel
        return craft(self.mode, profile=row["profile"], fault=self.fault, seed=row["seed"], **options)

    def taps(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The taps of this case among those of its scenario."""
        at = {"first": 0, "second": min(1, len(names) - 1), "last": len(names) - 1}
        if self.row["taps"] == "all":
            return names
        return tuple(dict.fromkeys(names[at[word]] for word in self.row["taps"].split("+")))


@cache
def rows() -> tuple[Row, ...]:
    """A covering array: any two values of two factors are in one row at least. Greedy, and the same each time."""
    names = list(FACTORS)
    sizes = {name: range(len(FACTORS[name])) for name in names}
    open_pairs = {((a, i), (b, j)) for a, b in combinations(names, 2) for i, j in product(sizes[a], sizes[b])}
    out: list[Row] = []
    while open_pairs:
        row: dict[str, int] = {}
        first = min(open_pairs)
        row.update(dict(first))
        for name in names:
            if name not in row:
                gain = [
                    sum(
                        ((min((name, i), other), max((name, i), other)) in open_pairs)
                        or (((name, i), other) in open_pairs)
                        or ((other, (name, i)) in open_pairs)
                        for other in row.items()
                    )
                    for i in sizes[name]
                ]
                row[name] = gain.index(max(gain))
        open_pairs -= {(p, q) for p, q in open_pairs if row[p[0]] == p[1] and row[q[0]] == q[1]}
        out.append({name: FACTORS[name][row[name]] for name in names})
    return tuple(out)


def faulty(*, each: int) -> Iterator[Case]:
    """Every fault, mode and IP version as it is, then with so many rows each."""
    bare = [(fault.code, mode, ip) for fault in FAULTS.values() for mode in fault.modes for ip in VERSIONS]
    yield from (Case(*one) for one in bare)
    yield from _varied([Case(*one) for one in bare], each)


def healthy(*, each: int) -> Iterator[Case]:
    """Every mode and IP version without a fault, every kind of tunnel too."""
    bare = [Case(None, mode, ip) for mode in MODES for ip in VERSIONS]
    bare += [Case(None, "l3dsr-tunnel", ip, tunnel=tunnel) for tunnel in TUNNELS for ip in VERSIONS]
    yield from bare
    yield from _varied(bare, each)


def representative() -> Iterator[Case]:
    """A share that takes little time: each fault and mode as it is in one IP version, and varied in the other."""
    pairs = [(fault.code, mode) for fault in FAULTS.values() for mode in fault.modes]
    every = rows()
    for number, (code, mode) in enumerate(pairs):
        yield Case(code, mode, VERSIONS[number % 2])
        yield Case(code, mode, VERSIONS[(number + 1) % 2], every[number % len(every)])
    yield from healthy(each=1)


def _varied(bare: list[Case], each: int) -> Iterator[Case]:
    every = rows()
    for number, case in enumerate(bare):
        for row in islice((every[(number * each + i) % len(every)] for i in range(len(every))), each):
            if row != PLAIN:
                yield Case(case.fault, case.mode, case.ip, row, case.tunnel)
