"""The checks of health checks: what each id means and where that is from."""

from __future__ import annotations

from typing import Final

from dsrkit.tables.checks.check import Check

CHECKS: Final[dict[str, Check]] = {
    "health.lb.interval": Check(
        "the time between checks is the stated one; where none is stated, they keep one",
        "warning",
        "dsr.toml [[health]] interval; keepalived.conf(5) delay_loop, HAProxy inter",
        alone="It is the spec and the checker that differ. Nothing breaks by it, and packets do not tell which of the"
        " two is right.",
    ),
    "health.lb.request": Check(
        "checks ask what is stated: the kind of check and the path of an HTTP request",
        "warning",
        "dsr.toml [[health]] type and path",
        alone="It is the spec and the checker that differ. Whether the check that is made is too weak shows in"
        " health.lb.tests-service and health.lb.through-vip, which do name faults.",
    ),
    "health.lb.stated-way": Check(
        "checks go the stated way: along the data path, or to the server's own address",
        "info",
        "dsr.toml [[health]] through; keepalived cannot send a check along the data path",
        ("HCK701",),
    ),
    "health.lb.through-vip": Check(
        "checks take the data path of the clients, or at least do not pass on servers that fail clients",
        "warning",
        "Nortel WebOS viphlth; NANOG 47 L3DSR slide 24; LVS-HOWTO LVS-Tun",
        ("HCK701", "HCK705"),
    ),
    "health.lb.takes-reply": Check(
        "the checker takes the answers that reach it, also those from the VIP",
        "error",
        "Brocade ADX guide (hc-l3-dsr); katran issue 47 (rp_filter)",
        ("HCK702", "HCK703"),
    ),
    "health.lb.tag": Check(
        "checks carry the tag that stands for the VIP, as the clients' packets do",
        "info",
        "Brocade ADX guide: only TCP checks are tagged",
        ("HCK704", "HCK701"),
    ),
    "health.lb.tests-service": Check(
        "checks ask the service; an echo reply comes from the kernel, whatever the service does",
        "warning",
        "faults.md HCK705; RFC 1122 s3.2.2.6",
        ("HCK705",),
    ),
    "health.lb.leaves-rotation": Check(
        "a server that fails its checks gets no new connections while others pass theirs",
        "warning",
        "keepalived.conf(5) retry; HAProxy fall",
        alone="The check sees the fault, and the load balancer does not act on it: it may wait for more failures, keep"
        " old clients at their server, or have checks that only watch. Its configuration tells, packets do not.",
    ),
    "health.real-server.passes": Check(
        "servers pass their checks; a warning where one fails to the end of the capture",
        "info",
        "keepalived check_tcp.c, check_http.c; RFC 9110 s15",
        ("HCK706",),
    ),
}
"""Checks by their id. A severity is that of a fault; two rise to warning: `health.real-server.passes` where a server
fails to the end, `health.lb.tag` where clients fail."""
