"""A client: reads a list of requests as JSON, makes them, and prints what came of each as JSON.

The first goes alone, as others that a resolver asks about at the same time would share its answer; then six at a time.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

TIMEOUT = 4.0
DNS_TIMEOUT = 3.0
AT_ONCE = 6
QUERY = {4: 1, 6: 28}


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _resolve(name: str, resolver: str, source: str) -> list[str]:
    """The addresses of a name, in the order of the answer.

    Source: RFC 1035 s4; RFC 3596 s2.1.
    """
    kind = QUERY[6 if ":" in source else 4]
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    asked = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)
    with socket.socket(_family(resolver), socket.SOCK_DGRAM) as service:
        service.settimeout(DNS_TIMEOUT)
        service.sendto(asked, (resolver, 53))
        answer = service.recv(4096)
    at, found = len(asked), []
    for _ in range(int.from_bytes(answer[6:8], "big")):
        record, length = struct.unpack("!2xH6xH", answer[at : at + 12])
        if record == kind:
            found.append(socket.inet_ntop(_family(source), answer[at + 12 : at + 12 + length]))
        at += 12 + length
    return found


def _exactly(service: socket.socket, octets: int, data: bytes) -> None:
    octets -= len(data)
    while octets > 0:
        got = len(service.recv(min(octets, 65536)))
        if not got:
            raise OSError("closed early")
        octets -= got


def _http(service: socket.socket, request: dict[str, Any], to: str) -> str:
    host = f"[{to}]" if ":" in to else to
    head = f"{'POST' if request['up'] else 'GET'} /item?size={request['down']} HTTP/1.1\r\nHost: {host}\r\n"
    length = f"Content-Length: {request['up']}\r\n" if request["up"] else ""
    service.sendall((head + length + "Connection: close\r\n\r\n").encode() + b"u" * request["up"])
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = service.recv(65536)
        if not data:
            raise OSError("closed early")
        answer += data
    head, _, body = answer.decode("latin-1").partition("\r\n\r\n")
    first, *rest = head.split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in rest)
    _exactly(service, int(fields["content-length"]), body.encode("latin-1"))
    if first.split()[1] != "200":
        raise OSError(f"status {first.split()[1]}")
    return fields["server"]


def _exchange(request: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = dict(request)
    began = time.time()
    try:
        to = request["to"]
        if request["name"]:
            result["answer"] = _resolve(request["name"], request["resolver"], request["source"])
            to = result["answer"][0]
        kind = socket.SOCK_DGRAM if request["udp"] else socket.SOCK_STREAM
        with socket.socket(_family(to), kind) as service:
            service.settimeout(TIMEOUT)
            service.bind((request["source"], 0))
            service.connect((to, request["port"]))
            if request["udp"]:
                service.send(b"u" * max(request["up"], 30))
                result["server"] = service.recv(65535)[:16].rstrip(b"\0").decode()
            else:
                result["server"] = _http(service, request, to)
        result["served"] = True
    except (OSError, IndexError) as error:
        result["served"], result["error"] = False, getattr(error, "strerror", None) or str(error)
    result["seconds"] = round(time.time() - began, 3)
    return result


def main() -> None:
    requests = json.load(sys.stdin)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        print(json.dumps([*map(_exchange, requests[:1]), *threads.map(_exchange, requests[1:])]))


if __name__ == "__main__":
    main()
