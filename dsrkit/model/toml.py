"""A spec as the text of its file, laid out for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from dsrkit.model.spec import VERSION, Link, Spec, SpecNode

Value: TypeAlias = str | int | float | bool | Sequence[str] | None


def dump(spec: Spec) -> str:
    """The TOML text of a spec: what it leaves open is left out.

    Parsing it gives the spec back; `file` of the spec itself is not part of the text.

    >>> print(dump(Spec.parse('service = {mode = "l2dsr", vip = "203.0.113.10", ports = "tcp/80"}')), end="")
    spec = 1
    <BLANKLINE>
    [[service]]
    mode = "l2dsr"
    vip = "203.0.113.10"
    ports = ["tcp/80"]
    """
    return "\n".join(f"{table}\n" for table in _tables(spec))


def _tables(spec: Spec) -> Iterator[str]:
    yield f"spec = {VERSION}"
    for service in spec.services:
        profile = None if service.profile == "any" else service.profile
        yield _table(
            "[[service]]",
            mode=service.mode,
            vip=_one_or_more(service.vip),
            ports=[str(port) for port in service.ports],
            profile=profile,
        )
    if spec.path.request or spec.path.reply:
        yield _table("[path]", request=spec.path.request, reply=spec.path.reply)
    if spec.dscp:
        yield _tags("[dscp]", spec.dscp)
    if (tunnel := spec.tunnel) is not None:
        yield _table(
            "[tunnel]",
            type=tunnel.type,
            variant=tunnel.variant,
            port=tunnel.port,
            checksum=tunnel.checksum,
            mtu=tunnel.mtu,
        )
    for node in spec.nodes:
        yield _node(node)
    for tap in spec.taps:
        file = None if tap.file is None else tap.file.as_posix()
        yield _table("[[tap]]", name=tap.name, file=file, interface=tap.interface, node=tap.node, link=tap.link)
    if spec.snat is not None:
        yield _table("[snat]", source=spec.snat.source)
    if spec.proxy is not None:
        yield _table("[proxy]", version=spec.proxy.version)
    if (dns := spec.dns) is not None:
        yield _table("[dns]", name=dns.name, records=dns.records, ttl=dns.ttl)
    for health in spec.health:
        yield _table("[[health]]", type=health.type, interval=health.interval, path=health.path, through=health.through)
    if (takeover := spec.takeover) is not None:
        yield _table("[takeover]", protocol=takeover.protocol, vrid=takeover.vrid)
    if spec.rules.ignore or spec.rules.select:
        yield _table("[rules]", ignore=spec.rules.ignore, select=spec.rules.select)
    for allow in spec.allow:
        yield _table("[[allow]]", code=allow.code, node=allow.node, reason=allow.reason)


def _node(node: SpecNode) -> str:
    first, links = (node.links[0], node.links[1:]) if node.links else (Link(), ())
    if not _is_shorthand(first, links):
        first, links = Link(), node.links
    tables = [
        _table(
            "[[node]]",
            name=node.name,
            role=node.role,
            ip=_one_or_more(_interfaces(first)),
            mac=_one_or_more(first.mac),
        )
    ]
    tables += [
        _table(
            "[[node.link]]",
            link=link.link,
            interface=link.interface,
            mac=_one_or_more(link.mac),
            ip=_one_or_more(_interfaces(link)),
            gateway=link.gateway,
        )
        for link in links
    ]
    if node.dscp:
        tables.append(_tags("[node.dscp]", node.dscp))
    return "\n".join(tables)


def _is_shorthand(link: Link, others: Sequence[Link]) -> bool:
    """Whether `ip` and `mac` of a nameless link may stand at the node itself, and be read as a link of its own."""
    nameless = link.link is None and link.interface is None and link.gateway is None
    elsewhere = {text for other in others for text in (*other.ip, *other.mac)}
    return nameless and not {*link.ip, *link.mac} <= elsewhere


def _interfaces(link: Link) -> list[str]:
    pairs = zip(link.ip, link.prefix, strict=True)
    return [ip if length is None else f"{ip}/{length}" for ip, length in pairs]


def _tags(header: str, tags: Mapping[int, str]) -> str:
    return _table(header, **{str(tag): vip for tag, vip in tags.items()})


def _table(header: str, **values: Value) -> str:
    """A table without the keys that hold nothing."""
    rows = (f"{key} = {_value(value)}" for key, value in values.items() if value not in (None, (), []))
    return "\n".join([header, *rows])


def _one_or_more(values: Sequence[str]) -> Value:
    return values[0] if len(values) == 1 else values


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped too
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(_value(item) for item in value or ())}]"
