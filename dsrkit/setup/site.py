"""Everything that the commands of a node are derived from: a complete spec, its wires, and what the user chose."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from typing import TYPE_CHECKING

from dsrkit.craft.options import Options
from dsrkit.craft.preset import encapsulation_of
from dsrkit.errors import UsageError
from dsrkit.model.names import Mode
from dsrkit.model.spec import Spec, SpecNode
from dsrkit.setup.network import Interface, Network
from dsrkit.setup.words import STATE, Engine, Firewall, Mss, Scheduler, VipOn

if TYPE_CHECKING:
    from dsrkit.craft.profiles import Encapsulation


@dataclass(frozen=True, slots=True)
class Choices:
    """What a spec does not say, since captures look alike either way.

    `engine` balances by IPVS, or by nft where the kernel has no IPVS. `vip_on` is how a server takes packets for the
    VIP, `mss` how it leaves room for a tunnel, `firewall` the language of rules beside IPVS and on servers.
    `scheduler` is None for the usual one: mh for a takeover pair, else rr. `unicast` sends VRRP adverts from address
    to address. `network` is False where the machines have their addresses and routes already. `state` is the folder
    for files.
    """

    engine: Engine = "ipvs"
    vip_on: VipOn = "lo"
    mss: Mss = "advmss"
    firewall: Firewall = "nft"
    scheduler: Scheduler | None = None
    unicast: bool = False
    network: bool = True
    state: str = STATE


@dataclass(frozen=True, slots=True)
class Backend:
    """A real server, as the load balancer addresses it for one VIP."""

    node: SpecNode
    address: str


@dataclass(frozen=True, slots=True)
class Service:
    """One port of one VIP with its servers."""

    vip: str
    proto: str
    vport: int
    rport: int
    backends: tuple[Backend, ...]

    @property
    def version(self) -> int:
        return ip_address(self.vip).version


@dataclass(frozen=True)
class Site:
    """The set-up as a whole.

    `mode` is what was asked for, `path` the mode by which packets reach the servers.
    """

    spec: Spec
    mode: Mode
    path: Mode
    options: Options
    choices: Choices
    network: Network

    def __post_init__(self) -> None:
        if self.path == "l3dsr-tunnel" and len({ip_address(vip).version for vip in self.spec.vips}) > 1:
            raise UsageError("one tunnel carries VIPs of one IP version: write a spec for each")

    # --- machines -------------------------------------------------------------------------------------------------

    def nodes(self, role: str) -> tuple[SpecNode, ...]:
        return self.spec.role(role)

    def state(self, node: SpecNode) -> str:
        """The folder for files of a node."""
        return f"{self.choices.state}/{slug(node.name)}"

    @property
    def scheduler(self) -> str:
        return self.choices.scheduler or ("mh" if self.takes_over else "rr")

    # --- who owns the VIP -----------------------------------------------------------------------------------------

    @property
    def vrrp(self) -> bool:
        """Whether keepalived moves the VIP."""
        return self.spec.takeover is not None and self.spec.takeover.protocol in (None, "vrrp")

    @property
    def takes_over(self) -> bool:
        return self.spec.takeover is not None

    @property
    def checks(self) -> bool:
        """Whether keepalived checks the servers, and keeps the table of IPVS for that."""
        return bool(self.spec.health) and self.path not in ("l7", "dns-rr")

    def client_side(self, node: SpecNode) -> Interface:
        """The interface of a load balancer that requests come in by.

        Raises: UsageError for a node without an interface.
        """
        found = self.network.interfaces(node.name)
        if not found:
            raise UsageError(f"node {node.name!r} has no link")
        near = next((one for vip in self.spec.vips for one in found if one.holds(vip)), None)
        clients = (ip for client in self.nodes("client") for ip in client.ips)
        ways = (self.network.towards(node.name, ip) for ip in clients)
        return near or next((way for way in ways if way is not None), found[0])

    def is_one_armed(self, node: SpecNode) -> bool:
        return len(self.network.interfaces(node.name)) == 1

    # --- services -------------------------------------------------------------------------------------------------

    @property
    def encapsulation(self) -> Encapsulation:
        return self._tunnel()[0]

    @property
    def outer(self) -> int:
        """The IP version between load balancer and servers of a tunnel."""
        return self._tunnel()[1]

    def _tunnel(self) -> tuple[Encapsulation, int]:
        found, outer = encapsulation_of(self.spec, "ipvs")
        if found is None or outer is None:
            raise UsageError(f"mode {self.path} has no tunnel")
        return found, outer

    def services(self) -> tuple[Service, ...]:
        """Every port of every VIP.

        Raises: UsageError for a server without an address of the IP version that is needed.
        """
        return tuple(
            Service(vip, port.proto, port.vport, port.rport, self.backends(vip))
            for service in self.spec.services
            for vip in service.vip
            for port in service.ports
        )

    def backends(self, vip: str) -> tuple[Backend, ...]:
        """The real servers, by the addresses that packets for a VIP reach them with.

        Raises: UsageError for a spec without any, and for a server that has no such address or the VIP as its own.
        """
        version = self.outer if self.path == "l3dsr-tunnel" else ip_address(vip).version
        for node in self.nodes("real-server"):
            if vip in node.ips:
                raise UsageError(f"node {node.name!r}: {vip} is the VIP, which is no address of the server's own")
        found = tuple(Backend(node, address_of(node, version)) for node in self.nodes("real-server"))
        if not found:
            raise UsageError("the spec has no real server")
        return found

    def tag(self, node: SpecNode, vip: str) -> int:
        """The DSCP that stands for a VIP at a server.

        Raises: UsageError where none does.
        """
        for tag, address in self.spec.dscp_for(node.name).items():
            if address == vip:
                return tag
        raise UsageError(f"no DSCP stands for {vip} at {node.name!r}: say so in [dscp] or in [node.dscp]")


def address_of(node: SpecNode, version: int) -> str:
    """The first address of a node in an IP version.

    Raises: UsageError where it has none.
    """
    for ip in node.ips:
        if ip_address(ip).version == version:
            return ip
    raise UsageError(f"node {node.name!r} needs an IPv{version} address")


def versions(site: Site) -> tuple[int, ...]:
    """The IP versions that any machine has addresses of."""
    return tuple(sorted({ip_address(ip).version for node in site.spec.nodes for ip in node.ips}))


def slug(name: str) -> str:
    """A name as a word that no shell and no configuration file reads anything into."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:40]
    return plain if plain == name else f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"
