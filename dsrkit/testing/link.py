"""`dsr_link`: a cable to a real program. Frames go in, and what the program makes of them comes out.

The program runs in namespaces of its own, on one end of a veth pair; the test holds the other end as a socket. Nothing
of it is seen outside, and nothing is left when the test ends, even by a kill.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, update_wrapper
from typing import Any, Final, TypeAlias

from dsrkit.errors import UsageError
from dsrkit.lab.inside import OFFLOADS_OFF
from dsrkit.testing.packets import packets_of
from dsrkit.testing.room import Program, Room, RoomError, in_network_of_its_own, room

DEVICE: Final = "eth0"
"""The interface that the program has."""
_TEST: Final = "test0"
_ALL: Final = 0x0003
_SOL_PACKET: Final = 263
_PACKET_AUXDATA: Final = 8
_AUXDATA: Final = struct.Struct("=IIIHHHH")
_VLAN_VALID, _TPID_VALID = 0x10, 0x40
"""Source: include/uapi/linux/if_ether.h, if_packet.h (ETH_P_ALL, struct tpacket_auxdata, TP_STATUS_VLAN_*)."""
_SO_RCVBUFFORCE: Final = 33
_SOCKETS: Final = ("raw", "raw6", "tcp", "tcp6", "udp", "udp6")
_AT_ONCE: Final = 32
"""Frames that are sent before the program must have read them: a socket holds some 250 small ones."""
_POLL: Final = 0.002
_GLANCE: Final = 0.1
_SETTLED: Final = 0.1
"""Seconds after which a packet socket that is bound to no interface counts as one that is meant for all of them."""
_ROOM: Final = 16 << 20
_LONGEST: Final = 0x10000 + 64

Runs: TypeAlias = Callable[[str], Any] | Sequence[str] | None
"""A function that is given the name of its interface, a command, or nothing: then the kernel is the device."""


class Device:
    """A program behind the cable."""

    def __init__(self, room: Room, cable: socket.socket, program: Program | None) -> None:
        self._room = room
        self._cable = cable
        self.program = program

    def run(self, command: Sequence[str] | str, *, timeout: float = 30.0) -> str:
        """Run a command where the program runs, to its end, and return what it wrote; a text is for the shell.

        Raises: RoomError if it fails.
        """
        return self._room.run(command, timeout=timeout)

    def exchange(
        self, frames: Any, *, expect: int | None = None, timeout: float = 2.0, quiet: float = 0.05
    ) -> list[bytes]:
        """Send frames to the program and return those that come out, in order.

        Waits for `expect` frames, or without it for the first one, and then until nothing has come for `quiet`
        seconds, so that a frame too many is seen as well; after `timeout` seconds what has come is returned. Frames
        are octets or what ``bytes()`` turns into them, one or several.

        Raises: RoomError if the program has ended, or does not read what it is sent.
        """
        end = time.monotonic() + timeout
        came: list[bytes] = []
        for number, packet in enumerate(packets_of(frames).packets):
            if number % _AT_ONCE == 0:
                self._has_read(end, came)
            try:
                self._cable.send(packet.octets)
            except OSError as error:
                raise RoomError(f"frame {number + 1} of {len(packet.octets)} octets: {error.strerror}") from None
        wanted, last = 1 if expect is None else expect, time.monotonic()
        while (now := time.monotonic()) < (limit := end if len(came) < wanted else min(end, last + quiet)):
            if self._take(min(limit - now, _GLANCE), came):
                last = time.monotonic()
            else:
                self._runs_still()
        self._runs_still()
        return came

    def collect(self, *, expect: int | None = None, timeout: float = 2.0, quiet: float = 0.05) -> list[bytes]:
        """What the program sends on its own, for as long as `exchange` would wait."""
        return self.exchange((), expect=expect, timeout=timeout, quiet=quiet)

    def _take(self, seconds: float, came: list[bytes]) -> bool:
        """Read one frame; False if there is none in time."""
        if not select.select([self._cable], [], [], max(0.0, seconds))[0]:
            return False
        octets, extra, _, sender = self._cable.recvmsg(_LONGEST, socket.CMSG_SPACE(_AUXDATA.size))
        if sender[2] != socket.PACKET_OUTGOING:
            came.append(_tagged(octets, extra))
        return True

    def _has_read(self, end: float, came: list[bytes]) -> None:
        """Wait until the program has read what it was sent: what does not fit into its socket would be lost."""
        while any(_waiting(line) for line in self._table("packet")):
            if time.monotonic() > end:
                self._runs_still()
                raise RoomError("the program does not read the frames that it is sent")
            self._take(_POLL, came)
        while self._take(0, came):
            pass

    def _table(self, name: str) -> list[str]:
        """The sockets of a kind in the room."""
        path = f"/proc/{self._room.pid}/net/{name}"
        if not os.path.exists(path):  # no IPv6, say
            return []
        with open(path) as file:
            return file.read().splitlines()[1:]

    def _is_ready(self, ready: str | Callable[[], bool] | None) -> bool:
        if callable(ready):
            return ready()
        if ready is None:
            return any(map(_is_bound, self._table("packet"))) or any(self._table(name) for name in _SOCKETS)
        return self.program is not None and ready in self.program.said

    def wait(self, ready: str | Callable[[], bool] | None, seconds: float) -> None:
        """Wait until the program is ready, as `running` says.

        Raises: RoomError if it does not become so.
        """
        begin = heard = time.monotonic()
        while not self._is_ready(ready):
            self._runs_still()
            now = time.monotonic()
            if ready is None and self._table("packet"):
                if now > heard + _SETTLED:
                    return
            else:
                heard = now
            if now > begin + seconds:
                said = self.program.said if self.program else ""
                raise RoomError(f"the program is not ready after {seconds:g} s{': ' if said else ''}{said}")
            time.sleep(_POLL)

    def _runs_still(self) -> None:
        if self.program is not None and (status := self.program.poll()) is not None:
            said = self.program.said or "it said nothing"
            raise RoomError(f"{self.program.what} has ended with exit code {status}: {said}")


@contextmanager
def running(
    program: Runs = None,
    *,
    setup: Iterable[str] | str = (),
    ready: str | Callable[[], bool] | None = None,
    mac: str | None = None,
    mtu: int = 1500,
    ipv6: bool = False,
    patience: float = 10.0,
) -> Iterator[Device]:
    """Run a program behind a cable, for the duration of a ``with`` block.

    `program` is a function that gets the name of its interface (it runs in a process of its own), a command (a text is
    for the shell), or nothing where the kernel itself is the device. `setup` are shell commands that go before it:
    addresses, neighbours, rules. It is ready when it has opened a socket (and bound it, if a packet socket, to its
    interface), when it has written the text `ready`, or when the function `ready` says so; `patience` seconds are given
    for that. `mac` and `mtu` are those of its interface. With `ipv6` its kernel has IPv6, which speaks by itself.

    Raises: RoomError where there can be no namespaces, a command fails, or the program ends or does not become ready;
    UsageError for what is no program.
    """
    if not (program is None or callable(program) or (isinstance(program, Sequence) and len(program))):
        raise UsageError(f"{program!r} is no program: a function is wanted, a command, or None for the kernel alone")
    with ExitStack() as stack:
        place = stack.enter_context(room())
        if not ipv6:
            place.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>&- || true")
        cable = stack.enter_context(in_network_of_its_own(lambda: _laid(place, mac, mtu)))
        for command in [setup] if isinstance(setup, str) else setup:
            place.run(command)
        started = None
        if program is not None:
            runs = update_wrapper(partial(program, DEVICE), program) if callable(program) else program
            started = stack.enter_context(place.running(runs))
        device = Device(place, cable, started)
        if program is not None:
            device.wait(ready, patience)
        yield device


def _laid(place: Room, mac: str | None, mtu: int) -> socket.socket:
    """Lay the cable from this network to the room's, and take hold of this end."""
    address = ("address", mac) if mac else ()
    _do("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1", optional=True)
    far = ("type", "veth", "peer", "name", DEVICE, "mtu", str(mtu), *address, "netns", str(place.pid))
    _do("ip", "link", "add", "name", _TEST, "mtu", str(mtu), *far)
    _do("ethtool", "-K", _TEST, *OFFLOADS_OFF.split())
    place.run(f"ethtool -K {DEVICE} {OFFLOADS_OFF} >&-; ip link set dev {DEVICE} up")
    _do("ip", "link", "set", "dev", _TEST, "up")
    end = time.monotonic() + 5
    while "LOWER_UP" not in _do("ip", "link", "show", "dev", _TEST):
        if time.monotonic() > end:
            raise RoomError("the cable does not come up")
    cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    cable.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
    cable.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    cable.bind((_TEST, _ALL))
    return cable


def _do(*argv: str, optional: bool = False) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode and not optional:
        raise RoomError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _is_bound(line: str) -> bool:
    """Whether a line of /proc/net/packet tells of a socket with an interface: binding it loses frames."""
    return line.split()[4] != "0"


def _waiting(line: str) -> bool:
    """Whether a line of /proc/net/packet tells of frames that nobody has read: its column Rmem."""
    return line.split()[6] != "0"


def _tagged(octets: bytes, extra: list[tuple[int, int, bytes]]) -> bytes:
    """The frame with its VLAN tag, which the kernel takes off."""
    for level, kind, data in extra:
        if level == _SOL_PACKET and kind == _PACKET_AUXDATA and len(data) >= _AUXDATA.size:
            status, _, _, _, _, tci, tpid = _AUXDATA.unpack_from(data)
            if status & _VLAN_VALID:
                kept = tpid if status & _TPID_VALID else 0x8100
                return octets[:12] + struct.pack("!HH", kept, tci) + octets[12:]
    return octets
