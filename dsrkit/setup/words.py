"""The words that setup knows, without the weight of what they stand for: the command line reads them at once."""

from __future__ import annotations

from typing import Final, Literal, get_args

Config = Literal["nft", "keepalived", "haproxy", "dnsmasq"]
Engine = Literal["ipvs", "nft"]
VipOn = Literal["lo", "dnat"]
Mss = Literal["advmss", "clamp"]
Firewall = Literal["nft", "iptables", "iptables-legacy"]
Scheduler = Literal["rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "mh"]

CONFIGS: Final[tuple[Config, ...]] = get_args(Config)
FORMATS: Final = ("shell", *CONFIGS, "json")
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)
VIP_ON: Final[tuple[VipOn, ...]] = get_args(VipOn)
MSS: Final[tuple[Mss, ...]] = get_args(Mss)
FIREWALLS: Final[tuple[Firewall, ...]] = get_args(Firewall)
SCHEDULERS: Final[tuple[Scheduler, ...]] = get_args(Scheduler)

STATE: Final = "/run/dsrkit"
"""Where a machine keeps what `--undo` needs, and the files of its daemons."""

OPTIONS: Final = (
    "ip", "protocol", "clients", "real_servers", "vip", "port", "server_port", "vlan", "mtu", "tunnel", "outer_ip",
    "gue_variant", "tunnel_port", "tunnel_checksum", "pmtud", "dscp", "proxy", "crc32c", "xff", "name", "ttl",
    "resolvers", "check", "through", "data_path", "interval", "path", "vrrp", "vmac", "vrid",
)  # fmt: skip
"""The options of craft that are about machines, and not about packets."""
