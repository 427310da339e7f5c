"""Put the frames of one tap on a real wire, at their times.

Source: packet(7), netdevice(7).
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from dsrkit.craft.frame import Batch
from dsrkit.craft.packets.octets import ARP, ETHERNET, IPV4, IPV6, VLAN_TYPES, address_text, mac_text
from dsrkit.craft.scenario import LINKTYPE_ETHERNET, Scenario
from dsrkit.errors import UsageError

_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFMTU: Final = 0x8921
_IFF_UP: Final = 1
_SENDER_AT: Final = {IPV4: (12, 4), IPV6: (8, 16), ARP: (14, 4)}  # the sender's address behind the Ethernet header
_NAMED: Final = 6  # addresses that a line names; what comes after is counted


def plan(scenario: Scenario, interface: str, *, tap: str, fast: bool = False) -> str:
    """What `send` is about to do, in words.

    Raises: UsageError for a tap that the scenario does not have, or that has nothing to send.
    """
    load = _load(scenario, tap)
    addresses = [address_text(ip) for ip in sorted(load.addresses, key=lambda ip: (len(ip), ip))]
    over = "as fast as possible" if fast else f"over {(load.last_ns - load.first_ns) / 1e9:.3f} s"
    return (
        f"{load.frames} frames of tap {tap} ({load.octets} octets) go out on {interface}, {over}\n"
        f"  from MAC  {_listed([mac_text(mac) for mac in sorted(load.macs)])}\n"
        f"  from IP   {_listed(addresses) or 'none'}\n"
    )


def send(scenario: Scenario, interface: str, *, tap: str, fast: bool = False) -> int:
    """Send every frame of a tap, spaced by their timestamps or as `fast` as possible; returns their number.

    Nothing is sent unless all of it can be: the interface is up, takes frames of that size, and may be written to.

    Raises: UsageError for an interface or a tap that is not there, a lack of permission, frames that are too long, or
    were cut by a snaplen.
    """
    if scenario.link_type != LINKTYPE_ETHERNET:
        raise UsageError("a cooked capture (-i any) has no destination MAC addresses: its frames cannot be sent")
    load = _load(scenario, tap)
    if load.cut:
        raise UsageError("frames that are cut cannot be sent: leave out the snaplen")
    with _open(interface, load.longest) as sender:
        sent, start_ns = 0, time.monotonic_ns()
        for frame in scenario.frames(tap):
            early_ns = 0 if fast else frame.ts_ns - load.first_ns - (time.monotonic_ns() - start_ns)
            if early_ns > 0:
                time.sleep(early_ns / 1e9)
            try:
                sender.send(frame.data)
            except OSError as error:
                raise UsageError(f"{interface}: {error.strerror} ({sent} sent before)") from None
            sent += 1
    return sent


@dataclass(slots=True)
class _Load:
    """What a tap holds."""

    frames: int = 0
    octets: int = 0
    longest: int = 0
    cut: bool = False
    first_ns: int = 0
    last_ns: int = 0
    macs: frozenset[bytes] = frozenset()
    addresses: frozenset[bytes] = frozenset()


def _load(scenario: Scenario, tap: str) -> _Load:
    if tap not in scenario.taps:
        raise UsageError(f"there is no tap {tap!r} (there are: {', '.join(scenario.taps)})")
    load, number = _Load(), scenario.taps.index(tap)
    for batch in scenario.batches():
        rows = np.flatnonzero(batch.tap == number)
        if not len(rows):
            continue
        caplen = batch.caplen[rows]
        load.first_ns = load.first_ns or int(batch.ts_ns[rows[0]])
        load.last_ns = int(batch.ts_ns[rows[-1]])
        load.frames += len(rows)
        load.octets += int(caplen.sum())
        load.longest = max(load.longest, int(caplen.max()))
        load.cut |= bool((caplen < batch.wire_octets[rows]).any())
        load.macs |= _distinct(batch, rows, 6, 6)
        load.addresses |= _addresses(batch, rows)
    if not load.frames:
        raise UsageError(f"tap {tap!r} has no frames to send")
    return load


def _addresses(batch: Batch, rows: npt.NDArray[np.intp]) -> frozenset[bytes]:
    """The senders' addresses of IP packets and ARP, behind a VLAN tag too."""
    found: frozenset[bytes] = frozenset()
    for ether_type, (at, size) in _SENDER_AT.items():
        plain = _typed(batch, rows, 12, (ether_type,))
        tagged = _typed(batch, _typed(batch, rows, 12, VLAN_TYPES), 16, (ether_type,))
        found |= _distinct(batch, plain, ETHERNET + at, size) | _distinct(batch, tagged, ETHERNET + 4 + at, size)
    return found


def _typed(batch: Batch, rows: npt.NDArray[np.intp], at: int, types: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """The rows with one of these Ethernet types at an offset."""
    rows = rows[batch.caplen[rows] >= at + 2]
    first = batch.offset[rows] + at
    found = batch.buffer[first].astype(np.int64) << 8 | batch.buffer[first + 1]
    return rows[np.isin(found, types)]


def _distinct(batch: Batch, rows: npt.NDArray[np.intp], at: int, size: int) -> frozenset[bytes]:
    """The different values of a field of that size at that offset."""
    rows = rows[batch.caplen[rows] >= at + size]
    if not len(rows):
        return frozenset()
    values = sliding_window_view(batch.buffer, size)[batch.offset[rows] + at]
    return frozenset(value.tobytes() for value in np.unique(values, axis=0))


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return ", ".join(texts[:_NAMED]) + more


def _open(interface: str, longest: int) -> socket.socket:
    """A raw socket that is bound to an interface which is up and takes frames of that length."""
    try:
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    except PermissionError:
        raise UsageError("sending needs root, or the capability CAP_NET_RAW") from None
    try:
        if not _request(sender, _SIOCGIFFLAGS, interface, "H") & _IFF_UP:
            raise UsageError(f"{interface} is down (ip link set {interface} up)")
        mtu = _request(sender, _SIOCGIFMTU, interface, "i")
        if longest > mtu + ETHERNET + 4:  # a VLAN tag does not count
            raise UsageError(f"{interface}: a frame of {longest} octets does not fit the MTU of {mtu}")
        sender.bind((interface, 0))
    except OSError as error:
        sender.close()
        raise UsageError(_refusal(interface, error)) from None
    except UsageError:
        sender.close()
        raise
    return sender


def _request(sender: socket.socket, request: int, interface: str, kind: str) -> int:
    """Ask about an interface: `struct ifreq` is its name and a value."""
    from fcntl import ioctl

    name = interface.encode()
    if not 0 < len(name) < 16 or b"\0" in name:
        raise OSError(errno.ENODEV, "no such interface")
    answer = ioctl(sender, request, struct.pack("16s24x", name))
    value: int = struct.unpack_from(kind, answer, 16)[0]
    return value


def _refusal(interface: str, error: OSError) -> str:
    if error.errno != errno.ENODEV:
        return f"{interface}: {error.strerror}"
    names = sorted(name for _, name in socket.if_nameindex())
    near = get_close_matches(interface, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
    return f"there is no interface {interface!r} ({hint})"
