"""The spec file `dsr.toml`: what a set-up is meant to be, so that nothing about it has to be guessed.

Small and mode-driven: the expectations per hop follow from the mode, so a spec holds only names, addresses and the few
values that a mode leaves open. An unknown key is an error, since a misspelt one would silently switch a check off.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar, cast

from dsrkit.classes import dataclass
from dsrkit.errors import SpecError
from dsrkit.model.dscp import dscp_text, parse_dscp
from dsrkit.model.names import (
    MODES,
    NO_VIP_NEEDED,
    PORT_MAPPING,
    PROFILES,
    ROLES,
    TUNNEL_TYPES,
    Mode,
    Profile,
    Role,
    TunnelType,
    did_you_mean,
)

VERSION: Final = 1
MOST_OCTETS: Final = 16 << 20
PROTOCOLS: Final = ("tcp", "udp")
HEALTH_TYPES: Final = ("ping", "tcp", "http")
HEALTH_THROUGH: Final = ("vip", "rip")
TAKEOVER_PROTOCOLS: Final = ("vrrp", "heartbeat", "garp")

_TOS: Final = (
    "ambiguous: the TOS octet holds the DSCP in its upper six bits, so 28 may mean DSCP 28 or DSCP 7"
    ' (in a [dscp] table write the DSCP, or "tos=0x1c", as the key)'
)
_DSCP: Final = '[dscp] holds the tag and the VIP that it stands for, as in 7 = "203.0.113.10"'

S = TypeVar("S", bound=str)


@dataclass(frozen=True, slots=True)
class Port:
    """A service port, and the server's where that differs."""

    proto: str
    vport: int
    rport: int

    def __str__(self) -> str:
        own = "" if self.rport == self.vport else f":{self.rport}"
        return f"{self.proto}/{self.vport}{own}"


@dataclass(frozen=True, slots=True)
class SpecService:
    """One balanced service; what it leaves open (`mode` None, `vip` or `ports` empty) is inferred."""

    mode: Mode | None = None
    vip: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    profile: Profile = "any"


@dataclass(frozen=True, slots=True)
class PathSpec:
    """The row of nodes each way: names, roles (any node of that role), or `...` for an unknown number of routers."""

    request: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The outer headers of `l3dsr-tunnel`; None is left to inference."""

    type: TunnelType | None = None
    variant: int | None = None
    port: int | None = None
    checksum: bool | None = None
    mtu: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One interface of a node; `prefix` runs beside `ip` and is None where the spec gives a bare address."""

    link: str | None = None
    interface: str | None = None
    mac: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()
    prefix: tuple[int | None, ...] = ()
    gateway: str | None = None

    @property
    def networks(self) -> tuple[str, ...]:
        """The subnets of this interface, as far as prefixes are known."""
        pairs = zip(self.ip, self.prefix, strict=True)
        return tuple(
            dict.fromkeys(
                str(ipaddress.ip_network(f"{ip}/{length}", strict=False)) for ip, length in pairs if length is not None
            )
        )


@dataclass(frozen=True, slots=True)
class SpecNode:
    """A machine; `ip` and `mac` written at the node itself are a link without a name."""

    name: str
    role: Role
    links: tuple[Link, ...] = ()
    dscp: Mapping[int, str] = field(default_factory=dict)

    @property
    def ips(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(ip for link in self.links for ip in link.ip))

    @property
    def macs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(mac for link in self.links for mac in link.mac))


@dataclass(frozen=True, slots=True)
class SpecTap:
    """A capture point; `file` is already resolved against the spec's folder."""

    name: str
    file: FilePath | None = None
    interface: str | None = None
    node: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Snat:
    """The load balancer's own addresses that replace the client's in `fullnat`."""

    source: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proxy:
    """How an `l7` proxy hands on the client's address."""

    version: int | None = None


@dataclass(frozen=True, slots=True)
class Dns:
    """The name that `dns-rr` rotates."""

    name: str | None = None
    records: tuple[str, ...] = ()
    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """A health check; `through` says whether it takes the data path (`vip`) or goes to the server's address (`rip`).

    Units: `interval` in seconds.
    """

    type: str
    interval: float | None = None
    path: str | None = None
    through: str | None = None


@dataclass(frozen=True, slots=True)
class Takeover:
    """How the VIP moves between two owners."""

    protocol: str | None = None
    vrid: int | None = None


@dataclass(frozen=True, slots=True)
class RuleSelection:
    """Codes, names, cell ids or prefixes of them."""

    ignore: tuple[str, ...] = ()
    select: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Allow:
    """A finding that is meant to be: at `node`, or anywhere if None."""

    code: str
    reason: str
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed and checked spec file.

    >>> spec = Spec.parse('service = {mode = "l2dsr", vip = "203.0.113.10", ports = ["tcp/80"]}')
    >>> spec.mode, spec.vips
    ('l2dsr', ('203.0.113.10',))
    """

    services: tuple[SpecService, ...] = ()
    path: PathSpec = field(default_factory=PathSpec)
    dscp: Mapping[int, str] = field(default_factory=dict)
    tunnel: Tunnel | None = None
    nodes: tuple[SpecNode, ...] = ()
    taps: tuple[SpecTap, ...] = ()
    snat: Snat | None = None
    proxy: Proxy | None = None
    dns: Dns | None = None
    health: tuple[Health, ...] = ()
    takeover: Takeover | None = None
    rules: RuleSelection = field(default_factory=RuleSelection)
    allow: tuple[Allow, ...] = ()
    file: FilePath | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Spec:
        """Read a spec file; the files of its taps are relative to its folder.

        Raises: SpecError for a file that is missing, unreadable, not UTF-8, not TOML, or not a spec.
        """
        shown = os.fspath(path)
        try:
            with FilePath(path).open("rb") as file:
                octets = file.read(MOST_OCTETS + 1)
            text = octets.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SpecError(f"{shown}: not UTF-8 text (octet {error.start})") from None
        except OSError as error:
            raise SpecError(f"{shown}: {error.strerror or error}") from None
        except ValueError as error:  # a NUL in the name
            raise SpecError(f"{shown!r}: {error}") from None
        if len(octets) > MOST_OCTETS:
            raise SpecError(f"{shown}: longer than {MOST_OCTETS >> 20} MiB: this is no spec")
        return cls.parse(text, base=FilePath(path).parent, name=shown, file=FilePath(path))

    @classmethod
    def parse(
        cls, text: str, *, base: FilePath = FilePath(), name: str = "dsr.toml", file: FilePath | None = None
    ) -> Spec:
        """Parse the text of a spec; `name` stands in messages.

        Raises: SpecError naming the file, the key and, for an unknown key, the nearest valid one.
        """
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SpecError(f"{name}: not TOML: {error}") from None
        except (RecursionError, ValueError) as error:  # nesting, or an integer of thousands of digits
            raise SpecError(f"{name}: not TOML: {type(error).__name__}") from None
        return _spec(_Table(data, "", name), base, file)

    @property
    def mode(self) -> Mode | None:
        """The mode of all services, or None if they leave it open or differ."""
        modes = {service.mode for service in self.services}
        return modes.pop() if len(modes) == 1 else None

    @property
    def modes(self) -> tuple[Mode, ...]:
        return tuple(dict.fromkeys(service.mode for service in self.services if service.mode is not None))

    @property
    def profile(self) -> Profile:
        """The profile of all services, or "any" if they differ."""
        profiles = {service.profile for service in self.services}
        return profiles.pop() if len(profiles) == 1 else "any"

    @property
    def vips(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(vip for service in self.services for vip in service.vip))

    @property
    def ports(self) -> tuple[Port, ...]:
        return tuple(dict.fromkeys(port for service in self.services for port in service.ports))

    def node(self, name: str) -> SpecNode | None:
        return next((node for node in self.nodes if node.name == name), None)

    def tap(self, name: str) -> SpecTap | None:
        return next((tap for tap in self.taps if tap.name == name), None)

    def role(self, role: str) -> tuple[SpecNode, ...]:
        """The nodes of a role, in the spec's order."""
        return tuple(node for node in self.nodes if node.role == role)

    def dscp_for(self, node: str) -> Mapping[int, str]:
        """Tag to VIP at a node: its own table where it has one, else the common one."""
        found = self.node(node)
        return found.dscp if found is not None and found.dscp else self.dscp


class _Table:
    """A TOML table that knows where it stands, so that every complaint can say so."""

    def __init__(self, data: Mapping[str, Any], where: str, file: str) -> None:
        self.data = data
        self.where = where
        self.file = file

    def at(self, key: str) -> str:
        shown = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else repr(key)
        return f"{self.where}.{shown}" if self.where else shown

    def fail(self, key: str, message: str) -> SpecError:
        return SpecError(f"{self.file}: {self.at(key)}: {message}")

    def only(self, *known: str) -> None:
        for key in self.data:
            if key in known:
                continue
            if key.lower() == "tos":
                raise self.fail(key, _TOS)
            if key.lower() == "dscp":
                raise self.fail(key, f"stands in a table of its own: {_DSCP}")
            near = get_close_matches(key.lower(), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"valid here: {', '.join(known)}"
            raise self.fail(key, f"unknown key ({hint})")

    def _typed(self, key: str, kind: type | tuple[type, ...], word: str) -> Any:
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.fail(key, f"must be {word}, not {_kind(value)}")
        return value

    def text(self, key: str) -> str | None:
        value = cast("str | None", self._typed(key, str, "a string"))
        if value is not None and not value.strip():
            raise self.fail(key, "must not be empty")
        return value

    def need(self, key: str, why: str = "") -> str:
        value = self.text(key)
        if value is None:
            raise self.fail(key, f"is required{why}")
        return value

    def choice(self, key: str, words: Collection[S]) -> S | None:
        value = self.text(key)
        for word in words:
            if word == value:
                return word
        if value is None:
            return None
        hint = did_you_mean(value.lower(), words)
        raise self.fail(key, f"{value!r} is not valid ({hint}one of: {', '.join(words)})")

    def integer(self, key: str, low: int, high: int) -> int | None:
        value = cast("int | None", self._typed(key, int, "an integer"))
        if value is not None and not low <= value <= high:
            raise self.fail(key, f"must be within {low} and {high}")
        return value

    def boolean(self, key: str) -> bool | None:
        return cast("bool | None", self._typed(key, bool, "true or false"))

    def seconds(self, key: str) -> float | None:
        value = self._typed(key, (int, float), "a number of seconds")
        if value is None:
            return None
        if not 0 < value <= 10**6 or not math.isfinite(value):
            raise self.fail(key, "must be a number of seconds above 0 and up to 1000000")
        return float(value)

    def strings(self, key: str) -> tuple[str, ...]:
        """A string or a list of strings, without repeats."""
        value = self._typed(key, (str, list), "a string or a list of strings")
        items: list[Any] = [] if value is None else [value] if isinstance(value, str) else value
        for item in items:
            if not isinstance(item, str):
                raise self.fail(key, f"must be a string or a list of strings, but holds {_kind(item)}")
            if not item.strip():
                raise self.fail(key, "must not hold an empty string")
        return tuple(dict.fromkeys(items))

    def row(self, key: str) -> tuple[str, ...]:
        """A list of strings that may repeat, as a path does that crosses a router twice."""
        value = self._typed(key, list, "a list of strings")
        for item in value or ():
            if not isinstance(item, str) or not item.strip():
                raise self.fail(key, f"must be a list of names, but holds {_kind(item)}")
        return tuple(value or ())

    def addresses(self, key: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.address(key, text) for text in self.strings(key)))

    def address(self, key: str, text: str) -> str:
        try:
            return str(_ip(text))
        except ValueError:
            hint = ": write it without the prefix length" if "/" in text else ""
            raise self.fail(key, f"{text!r} is not an IP address{hint}") from None

    def macs(self, key: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._mac(key, text) for text in self.strings(key)))

    def _mac(self, key: str, text: str) -> str:
        # The usual spellings: 02:00:..., 02-00-..., 0200.0000.0001
        if re.fullmatch(r"([0-9A-Fa-f]{2}([:-]))([0-9A-Fa-f]{2}\2){4}[0-9A-Fa-f]{2}", text) or re.fullmatch(
            r"([0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}", text
        ):
            digits = re.sub(r"[^0-9a-f]", "", text.lower())
            return ":".join(digits[i : i + 2] for i in range(0, 12, 2))
        raise self.fail(key, f"{text!r} is not a MAC address (write 02:00:00:00:00:11)")

    def table(self, key: str) -> _Table | None:
        value = self._typed(key, dict, "a table")
        return None if value is None else _Table(value, self.at(key), self.file)

    def tables(self, key: str, *, single: bool = False) -> Iterator[_Table]:
        """The tables of an array; `single` accepts one plain table too."""
        value = self.data.get(key)
        if single and isinstance(value, dict):
            yield _Table(value, self.at(key), self.file)
            return
        if value is not None and not isinstance(value, list):
            raise self.fail(key, f"must be a list of tables ([[{key}]]), not {_kind(value)}")
        for index, item in enumerate(value or ()):
            if not isinstance(item, dict):
                raise self.fail(key, f"must be a list of tables ([[{key}]]), but holds {_kind(item)}")
            name = item.get("name")
            known = isinstance(name, str) and re.fullmatch(r"[\w.-]+", name)
            yield _Table(item, f"{self.at(key)}[{name if known else index}]", self.file)


def _spec(top: _Table, base: FilePath, file: FilePath | None) -> Spec:
    top.only(
        "spec", "service", "path", "dscp", "tunnel", "node", "tap",
        "snat", "proxy", "dns", "health", "takeover", "rules", "allow",
    )  # fmt: skip
    if top.integer("spec", -(2**31), 2**31) not in (None, VERSION):
        raise top.fail("spec", f"this dsrkit reads version {VERSION} of the spec file")
    nodes = tuple(_node(table) for table in top.tables("node"))
    _unique(top, "node", [node.name for node in nodes])
    taps = tuple(_tap(table, base, nodes) for table in top.tables("tap"))
    _unique(top, "tap", [tap.name for tap in taps])
    return Spec(
        services=tuple(_service(table) for table in top.tables("service", single=True)),
        path=_path(top.table("path")),
        dscp=_dscp(top.table("dscp")),
        tunnel=_tunnel(top.table("tunnel")),
        nodes=nodes,
        taps=taps,
        snat=_snat(top.table("snat")),
        proxy=_proxy(top.table("proxy")),
        dns=_dns(top.table("dns")),
        health=tuple(_health(table) for table in top.tables("health", single=True)),
        takeover=_takeover(top.table("takeover")),
        rules=_rules(top.table("rules")),
        allow=tuple(_allow(table, nodes) for table in top.tables("allow")),
        file=file,
    )


def _service(table: _Table) -> SpecService:
    table.only("mode", "vip", "ports", "profile")
    mode = table.choice("mode", MODES)
    vip = table.addresses("vip")
    if mode is not None and mode not in NO_VIP_NEEDED and not vip:
        raise table.fail("vip", f"is required for mode {mode}")
    ports = tuple(dict.fromkeys(_port(table, text) for text in table.strings("ports")))
    for port in ports:
        if mode is not None and mode not in PORT_MAPPING and port.rport != port.vport:
            raise table.fail("ports", f"'{port}': mode {mode} cannot change a port (nat, fullnat and l7 can)")
    return SpecService(mode, vip, ports, table.choice("profile", PROFILES) or "any")


def _port(table: _Table, text: str) -> Port:
    match = re.fullmatch(r"([A-Za-z]+)/([0-9]{1,5})(?::([0-9]{1,5}))?", text)
    if match is None or match[1].lower() not in PROTOCOLS:
        raise table.fail("ports", f"{text!r} is not a port (write tcp/80, udp/53, or tcp/80:8080)")
    numbers = [int(digits) for digits in (match[2], match[3] or match[2])]
    if not all(1 <= number <= 65535 for number in numbers):
        raise table.fail("ports", f"{text!r}: a port is within 1 and 65535")
    return Port(match[1].lower(), *numbers)


def _path(table: _Table | None) -> PathSpec:
    if table is None:
        return PathSpec()
    table.only("request", "reply")
    return PathSpec(table.row("request"), table.row("reply"))


def _dscp(table: _Table | None) -> dict[int, str]:
    tags: dict[int, str] = {}
    if table is None:
        return tags
    for key in table.data:
        if key.strip().lower() == "tos":
            raise table.fail(key, _TOS)
        try:
            tag = parse_dscp(key)
        except ValueError as error:
            swapped = _is_ip(key) or not isinstance(table.data[key], str)
            raise table.fail(key, f"{error}: {_DSCP}" if swapped else str(error)) from None
        if tag in tags:
            raise table.fail(key, f"DSCP {dscp_text(tag)} stands here twice")
        vip = table.text(key)
        tags[tag] = table.address(key, vip or "")
    return tags


def _tunnel(table: _Table | None) -> Tunnel | None:
    if table is None:
        return None
    table.only("type", "variant", "port", "checksum", "mtu")
    return Tunnel(
        type=table.choice("type", TUNNEL_TYPES),
        variant=table.integer("variant", 0, 1),
        port=table.integer("port", 1, 65535),
        checksum=table.boolean("checksum"),
        mtu=table.integer("mtu", 68, 65535),
    )


def _node(table: _Table) -> SpecNode:
    table.only("name", "role", "ip", "mac", "link", "dscp")
    name = table.need("name")
    role = table.choice("role", ROLES)
    if role is None:
        raise table.fail("role", f"is required (one of: {', '.join(ROLES)})")
    links = tuple(_link(link) for link in table.tables("link", single=True))
    return SpecNode(name, role, (*_shorthand(table, links), *links), _dscp(table.table("dscp")))


def _shorthand(table: _Table, links: tuple[Link, ...]) -> tuple[Link, ...]:
    """The node's own `ip` and `mac` as a nameless link, unless the named links hold all of them."""
    own = _link_of(table)
    if set(own.ip) <= {ip for link in links for ip in link.ip} and set(own.mac) <= {
        m for link in links for m in link.mac
    }:
        return ()
    return (own,)


def _link(table: _Table) -> Link:
    table.only("link", "interface", "mac", "ip", "gateway")
    gateway = table.text("gateway")
    return _link_of(
        table,
        link=table.text("link"),
        interface=table.text("interface"),
        gateway=None if gateway is None else table.address("gateway", gateway),
    )


def _link_of(
    table: _Table, *, link: str | None = None, interface: str | None = None, gateway: str | None = None
) -> Link:
    found: dict[str, int | None] = {}
    for text in table.strings("ip"):
        address, slash, length = text.partition("/")
        try:
            host = _ip(address)
            if slash and not (
                length.isascii() and length.isdecimal() and len(length) <= 3 and int(length) <= host.max_prefixlen
            ):
                raise ValueError("not a prefix length")
            found[str(host)] = int(length) if slash else None
        except ValueError:
            raise table.fail("ip", f"{text!r} is not an IP address (with or without /prefix)") from None
    return Link(link, interface, table.macs("mac"), tuple(found), tuple(found.values()), gateway)


def _tap(table: _Table, base: FilePath, nodes: tuple[SpecNode, ...]) -> SpecTap:
    table.only("name", "file", "interface", "node", "link")
    name, file = table.need("name"), table.text("file")
    if file is not None and "\0" in file:
        raise table.fail("file", "holds a NUL character")
    return SpecTap(
        name,
        None if file is None else base / file,
        table.text("interface"),
        _known_node(table, nodes),
        table.text("link"),
    )


def _snat(table: _Table | None) -> Snat | None:
    if table is None:
        return None
    table.only("source")
    return Snat(table.addresses("source"))


def _proxy(table: _Table | None) -> Proxy | None:
    if table is None:
        return None
    table.only("version")
    return Proxy(table.integer("version", 1, 2))


def _dns(table: _Table | None) -> Dns | None:
    if table is None:
        return None
    table.only("name", "records", "ttl")
    return Dns(table.text("name"), table.addresses("records"), table.integer("ttl", 0, 2**31 - 1))  # RFC 2181 s8


def _health(table: _Table) -> Health:
    table.only("type", "interval", "path", "through")
    kind = table.choice("type", HEALTH_TYPES)
    if kind is None:
        raise table.fail("type", f"is required (one of: {', '.join(HEALTH_TYPES)})")
    return Health(kind, table.seconds("interval"), table.text("path"), table.choice("through", HEALTH_THROUGH))


def _takeover(table: _Table | None) -> Takeover | None:
    if table is None:
        return None
    table.only("protocol", "vrid")
    return Takeover(table.choice("protocol", TAKEOVER_PROTOCOLS), table.integer("vrid", 1, 255))  # RFC 5798 s5.2.3


def _rules(table: _Table | None) -> RuleSelection:
    if table is None:
        return RuleSelection()
    table.only("ignore", "select")
    return RuleSelection(table.strings("ignore"), table.strings("select"))


def _allow(table: _Table, nodes: tuple[SpecNode, ...]) -> Allow:
    table.only("code", "node", "reason")
    return Allow(table.need("code"), table.need("reason", ": say why this is meant to be"), _known_node(table, nodes))


def _known_node(table: _Table, nodes: tuple[SpecNode, ...]) -> str | None:
    name = table.text("node")
    names = [node.name for node in nodes]
    if name is None or name in names:
        return name
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the spec has: {', '.join(names) or 'no nodes'}"
    raise table.fail("node", f"no [[node]] is named {name!r} ({hint})")


def _unique(top: _Table, key: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise top.fail(key, f"two of them are named {name!r}")


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise ValueError("a zone index names an interface of one machine only")
    return address


def _is_ip(text: str) -> bool:
    try:
        _ip(text)
    except ValueError:
        return False
    return True


def _kind(value: object) -> str:
    words = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "a list", dict: "a table"}
    return words.get(type(value), "a date or time")
