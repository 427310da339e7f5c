"""The scene as a spec and options state it; inference fills in the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from dsrkit.errors import UsageError
from dsrkit.model.spec import Spec
from dsrkit.verify.frames import TUNNEL_NAMES, AddressBook
from dsrkit.verify.scene import Party, Scene
from dsrkit.wire.address import mac_int

OVERLAYS = ("garp", "health")
"""Mechanisms on top of a data path of another mode."""
_PROTOCOLS = {"tcp": 6, "udp": 17}


def scene_of(
    book: AddressBook, spec: Spec | None, mode: str | None, profile: str | None, vip: Collection[str]
) -> Scene:
    """What is stated; options win over the spec."""
    scene = Scene(book)
    if spec is not None:
        _from_spec(book, spec, scene)
    if mode is not None:
        scene.mode, scene.mode_from = mode, "option"
    if scene.mode in OVERLAYS:
        scene.notes.append(f"mode {scene.mode} says nothing of the data path, whose mode is inferred")
        scene.mode, scene.mode_from = None, "undetermined"
    scene.profile = profile or (spec.profile if spec is not None else "any")
    if vip:
        try:
            scene.vips = {book.number(v) for v in vip}
        except ValueError as error:
            raise UsageError(f"--vip: {error}") from None
    return scene


def _from_spec(book: AddressBook, spec: Spec, scene: Scene) -> None:
    if spec.mode is not None:
        scene.mode, scene.mode_from = spec.mode, "spec"
    scene.vips = {book.number(v) for v in spec.vips}
    for port in spec.ports:
        scene.services.setdefault((_PROTOCOLS[port.proto], port.vport), set()).add(port.rport)
    for node in spec.nodes:
        party = Party(node.name, node.role, stated=True)
        party.ips = {book.number(ip) for ip in node.ips} - scene.vips
        party.macs = {mac_int(mac) for mac in node.macs}
        party.links = frozenset(link.link for link in node.links if link.link is not None)
        scene.parties.append(party)
        for tag, vip in node.dscp.items():
            for ip in party.ips:
                scene.tags.setdefault((book.number(vip), ip), Counter())[tag] += 1
    if spec.snat is not None:
        for party in scene.role("lb"):
            party.ips |= {book.number(ip) for ip in spec.snat.source}
    scene.tag_of_vip = {tag: book.number(address) for tag, address in spec.dscp.items()}
    if spec.tunnel is not None and spec.tunnel.type is not None:
        kind = "gue1" if spec.tunnel.type == "gue" and spec.tunnel.variant == 1 else spec.tunnel.type
        scene.tunnel = TUNNEL_NAMES.index(kind)
        if spec.tunnel.port is not None:
            scene.tunnel_ports = {spec.tunnel.port}
    scene.path_request, scene.path_reply = spec.path.request, spec.path.reply
