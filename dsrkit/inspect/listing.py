"""What stands above the frames: mode, service and machines, and from what they are known."""

from __future__ import annotations

from typing import Final

from dsrkit.inspect.head import Known
from dsrkit.inspect.words import called
from dsrkit.model.names import REWRITES
from dsrkit.verify.conclude import service_of
from dsrkit.verify.frames import TUNNEL_NAMES
from dsrkit.verify.scene import Party, Scene
from dsrkit.wire.address import mac_text

_UNSEEN: Final = "no load balancing seen"
_MOST_SHOWN: Final = 6
_ROLES: Final = {"real-server": "servers", "router": "router", "client": "client", "resolver": "resolver"}
_STATED: Final = {"spec": "stated by the spec", "option": "stated"}


def heading(known: Known) -> list[str]:
    """A few lines, unescaped: mode and why, service and machines, and on how much that was decided."""
    scene = known.scene
    lines = [_mode(scene)]
    if scene.mode is not None or scene.vips:
        lines.append(_machines(scene))
    if known.virtual:
        lines.append(f"VRRP announces {_listed([f'VIP {a}' for a in _addresses(scene, known.virtual)])}")
    if known.checks:
        count = len(known.checks)
        lines.append(f"health checks of {count} server{'s' if count > 1 else ''}")
    lines += [note for note in scene.notes if not note.startswith("mode ")]
    if not known.whole:
        lines.append(f"roles were decided on the first {known.packets:,} packets")
    return lines


def _mode(scene: Scene) -> str:
    if scene.mode is None:
        return _UNSEEN if scene.vips else f"{_UNSEEN}; if there is any, state it by --vip and --mode"
    tunnel = f" ({TUNNEL_NAMES[scene.tunnel]})" if scene.mode == "l3dsr-tunnel" and scene.tunnel else ""
    said = next((note for note in scene.notes if note.startswith(f"mode {scene.mode}: ")), "")
    why = said.partition(": ")[2]
    how = _STATED.get(scene.mode_from, scene.mode_from)
    against = f", but the packets show {scene.contradiction}" if scene.contradiction else ""
    return f"mode {scene.mode}{tunnel}, {how}{f': {why}' if why else ''}{against}"


def _machines(scene: Scene) -> str:
    """``VIP 203.0.113.10 (tcp/80); LB 10.0.0.2 02:..; servers rs1 10.0.0.21, rs2 10.0.0.22; client 198.51.100.7``."""
    service = service_of(scene)
    words = []
    if service.vip:
        ports = f" ({', '.join(service.ports)})" if service.ports else ""
        words.append(f"VIP {_listed(list(service.vip))}{ports}")
    words += [f"DSCP {', '.join(map(str, tags))} = VIP {vip}" for vip, tags in _tags(scene).items()]
    words += [_machine(scene, party) for party in scene.role("lb")]
    for role, name in _ROLES.items():
        parties = scene.role(role)
        if not parties or (role == "router" and scene.mode not in REWRITES):
            continue
        if role == "real-server":
            words.append(f"{name} {_listed([_machine(scene, party) for party in parties])}")
        else:
            words.append(_listed([_machine(scene, party) for party in parties]))
    return "; ".join(words)


def _tags(scene: Scene) -> dict[str, list[int]]:
    """VIPs with the tags that stand for them alone, whatever the server."""
    seen: dict[int, set[str]] = {}
    for (vip, _), tags in scene.tags.items():
        seen.setdefault(tags.most_common(1)[0][0], set()).add(scene.address(vip))
    seen |= {tag: {scene.address(vip)} for tag, vip in scene.tag_of_vip.items()}
    out: dict[str, list[int]] = {}
    for tag, vips in sorted(seen.items()):
        if tag and len(vips) == 1:
            out.setdefault(vips.pop(), []).append(tag)
    return out


def _machine(scene: Scene, party: Party) -> str:
    """A machine's name, with its addresses, else its MACs."""
    addresses = _addresses(scene, party.ips)
    addresses = [a for a in addresses if not a.startswith("fe80:")] or addresses
    shown = addresses or [mac_text(mac) for mac in sorted(party.macs)]
    return f"{called(party)} {_listed(shown) if shown else '(not seen)'}"


def _addresses(scene: Scene, numbers: set[int]) -> list[str]:
    ordered = sorted(numbers, key=lambda n: scene.book.sort_key([n]))
    return [scene.address(n) for n in ordered]


def _listed(texts: list[str]) -> str:
    more = len(texts) - _MOST_SHOWN
    return ", ".join(texts[:_MOST_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
