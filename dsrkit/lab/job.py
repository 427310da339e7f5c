"""What a lab does, as plain data: the host writes it, and the machine of the engine carries it out.

Standard library only, since a small virtual machine reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

JOB_FILE: Final = "job.json"
RESULT_FILE: Final = "result.json"
LOG_FILE: Final = "console.log"


@dataclass(frozen=True, slots=True)
class End:
    """One end of a cable."""

    node: str
    port: str
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class Cable:
    """A cable between two machines; without `far` it ends at the hub of its link."""

    link: str
    near: End
    far: End | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A service on a real server. `address` is "" for every address; `proxy` is whether it expects a PROXY header."""

    node: str
    port: int
    udp: bool = False
    address: str = ""
    proxy: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """An exchange of a client. `name` is resolved at `resolver` first; `up` and `down` are octets of each body."""

    source: str
    port: int
    to: str
    up: int = 0
    down: int = 300
    udp: bool = False
    name: str | None = None
    resolver: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens while the taps record: requests, pings of an address, or a shell command at a node."""

    label: str
    node: str
    requests: tuple[Request, ...] = ()
    ping: str | None = None
    command: str | None = None
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Tap:
    """Where tcpdump listens."""

    file: str
    node: str
    interface: str
    link: str


@dataclass(frozen=True, slots=True)
class Job:
    """A whole lab.

    `scripts` are what setup prints for each node, run unmodified; `faults` are commands that spoil a node afterwards.
    `loss` is a share and `delay` a time in seconds, on the cables of the clients.
    """

    nodes: tuple[str, ...]
    cables: tuple[Cable, ...]
    scripts: Mapping[str, str]
    servers: tuple[Server, ...]
    steps: tuple[Step, ...]
    taps: tuple[Tap, ...]
    ipv6: bool
    offloads: bool = False
    loss: float = 0.0
    delay: float = 0.0
    slow: tuple[End, ...] = ()
    settle: float = 0.5
    faults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shell: str | None = None
    keep: bool = False

    def dump(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def load(cls, text: str) -> Job:
        data: dict[str, Any] = json.loads(text)
        data["nodes"] = tuple(data["nodes"])
        data["cables"] = tuple(
            Cable(one["link"], End(**one["near"]), End(**one["far"]) if one["far"] else None) for one in data["cables"]
        )
        data["servers"] = tuple(Server(**one) for one in data["servers"])
        data["taps"] = tuple(Tap(**one) for one in data["taps"])
        data["slow"] = tuple(End(**one) for one in data["slow"])
        data["steps"] = tuple(
            Step(**{**one, "requests": tuple(Request(**request) for request in one["requests"])})
            for one in data["steps"]
        )
        return cls(**data)
