"""Asks for echoes, so that no lab needs a package for it: ``ping.py TO COUNT``. Exit code 1 if one is missing.

Source: RFC 792; RFC 4443 s4.1. The kernel fills in the checksum of ICMPv6: RFC 3542 s3.1.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from contextlib import suppress

TIMEOUT = 1.0
INTERVAL = 0.2
DATA = bytes(range(56))
REQUEST, REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def request(version: int, mark: bytes) -> bytes:
    kind = REQUEST[version]
    total = checksum(struct.pack("!2BH", kind, 0, 0) + mark + DATA) if version == 4 else 0
    return struct.pack("!2BH", kind, 0, total) + mark + DATA


def answered(service: socket.socket, version: int, mark: bytes) -> bool:
    """Whether an echo with this identifier and number comes in time.

    Raises: OSError if it does not, or an ICMP error comes instead.
    """
    end = time.monotonic() + TIMEOUT
    while (left := end - time.monotonic()) > 0:
        service.settimeout(left)
        data = service.recv(2048)
        message = data[(data[0] & 15) * 4 :] if version == 4 else data
        if message[0] == REPLY[version] and message[4:8] == mark:
            return True
    return False


def main() -> None:
    to, count = sys.argv[1:]
    version = 6 if ":" in to else 4
    family, protocol = {4: (socket.AF_INET, socket.IPPROTO_ICMP), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6)}[version]
    got = 0
    with socket.socket(family, socket.SOCK_RAW, protocol) as service:
        service.connect((to, 0))
        for number in range(1, int(count) + 1):
            mark = struct.pack("!2H", os.getpid() & 0xFFFF, number)
            with suppress(OSError):
                service.send(request(version, mark))
                got += answered(service, version, mark)
            time.sleep(INTERVAL)
    print(f"{got} of {count} echoes from {to}")
    sys.exit(got < int(count))


if __name__ == "__main__":
    main()
