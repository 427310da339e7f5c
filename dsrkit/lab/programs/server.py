"""A real server's service: HTTP/1.1 over TCP, or echo over UDP. ``server.py NAME PORT tcp|udp ADDRESS plain|proxy``.

The reply names the server, so that a client can tell who answered. Says "ready" once it listens.
"""

from __future__ import annotations

import socket
import sys
import threading
from typing import BinaryIO

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def _skip_proxy_header(stream: BinaryIO) -> bool:
    """Read a PROXY header of either version; False if there is none.

    Source: PROXY protocol s2.1, s2.2.
    """
    first = stream.read(6)
    if first == b"PROXY ":
        return stream.readline(107).endswith(b"\r\n")
    if first + stream.read(6) != SIGNATURE:
        return False
    stream.read(2)
    stream.read(int.from_bytes(stream.read(2), "big"))
    return True


def _answer(connection: socket.socket, name: str, proxy: bool) -> None:
    with connection, connection.makefile("rb") as stream:
        connection.settimeout(20)
        if proxy and not _skip_proxy_header(stream):
            return
        while line := stream.readline(8192):
            fields = {}
            while header := stream.readline(8192).strip():
                key, _, value = header.lower().partition(b":")
                fields[key] = value.strip()
            if b" HTTP/1." not in line:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                return
            stream.read(int(fields.get(b"content-length", b"0")))
            size = int(line.partition(b"size=")[2].split()[0]) if b"size=" in line else 2
            head = f"HTTP/1.1 200 OK\r\nServer: {name}\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"
            connection.sendall(head.encode() + (name.encode() * size)[:size])
            if fields.get(b"connection") == b"close" or line.rstrip().endswith(b"1.0"):
                return


def _serve_tcp(listener: socket.socket, name: str, proxy: bool) -> None:
    def answer(connection: socket.socket) -> None:
        try:
            _answer(connection, name, proxy)
        except OSError as error:
            print(error, file=sys.stderr)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def _anywhere(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """Packet information without its interface: a request may come by a tunnel that no reply is to go back through.

    Source: ip(7) IP_PKTINFO; RFC 3542 s6.1.
    """
    if level == socket.IPPROTO_IP:
        return level, kind, bytes(4) + data[8:12] + data[8:12]
    return level, kind, data[:16] + bytes(4)


def _serve_udp(service: socket.socket, name: str) -> None:
    """Echo, from the address that was asked."""
    while True:
        data, control, _, peer = service.recvmsg(65535, 512)
        try:
            service.sendmsg([name.encode().ljust(16, b"\0") + data], [_anywhere(*one) for one in control], 0, peer)
        except OSError as error:
            print(error, file=sys.stderr)


def main() -> None:
    name, port, proto, address, proxy = sys.argv[1:]
    four = "." in address
    service = socket.socket(
        socket.AF_INET if four else socket.AF_INET6, socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM
    )
    service.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if not four:
        service.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if proto == "udp":
        service.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO; socket has no name for it before 3.13
        if not four:
            service.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    service.bind((address or "::", int(port)))
    if proto == "tcp":
        service.listen(128)
    print("ready", flush=True)
    if proto == "udp":
        _serve_udp(service, name)
    else:
        _serve_tcp(service, name, proxy == "proxy")


if __name__ == "__main__":
    main()
