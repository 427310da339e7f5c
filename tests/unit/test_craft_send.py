"""Sending: on a veth pair in a network namespace of the test's own, and every refusal."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from craft_scenarios import LB, TAPS, frame, l2dsr, spec, volume
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from dsrkit.craft.output.send import plan, send
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import UsageError

TESTS = Path(__file__).parents[1]


def can_unshare() -> bool:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    argv = ["unshare", "--net", "ip", "link", "add", "name", "v0", "type", "veth", "peer", "name", "v1"]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


needs_namespace = pytest.mark.skipif(not can_unshare(), reason="no network namespaces (root and ip are needed)")

PROLOGUE = """
import json, select, socket, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from craft_scenarios import l2dsr, volume
from dsrkit.craft.output.send import send
from dsrkit.errors import UsageError

def ip(*words):
    subprocess.run(["ip", *words], check=True)

ip("link", "add", "name", "v0", "type", "veth", "peer", "name", "v1")
ip("link", "set", "v1", "up")

def refused(*args, **options):
    try:
        send(*args, **options)
    except UsageError as error:
        return str(error)
    return None
"""


def in_namespace(script: str) -> object:
    """Run a script in a new namespace with the veth pair v0 (down) and v1 (up); gives what it printed as JSON."""
    argv = ["unshare", "--net", sys.executable, "-W", "error", "-c", PROLOGUE + script, str(TESTS)]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@needs_namespace
def test_frames_arrive_as_they_are_and_on_time() -> None:
    found = in_namespace("""
ip("link", "set", "v0", "up")
receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
receiver.bind(("v1", 0))
receiver.settimeout(10)
wanted = l2dsr()["B"]

def received():
    frames = []
    while len(frames) < len(wanted):
        data, source = receiver.recvfrom(4096)
        if source[2] != socket.PACKET_OUTGOING and data in wanted:
            frames.append(data.hex())
    return frames

sent, took, arrived = [], [], []
for fast in (False, True):
    start = time.monotonic()
    sent.append(send(l2dsr(), "v0", tap="B", fast=fast))
    took.append(time.monotonic() - start)
    arrived.append(received())
print(json.dumps({"sent": sent, "took": took, "arrived": arrived}))
""")
    assert isinstance(found, dict)
    wanted = [data.hex() for data in l2dsr()["B"]]
    assert found["sent"] == [3, 3]
    assert found["arrived"] == [wanted, wanted]
    assert found["took"][0] >= 250e-6  # from the first frame at 50 us to the last at 300 us


@needs_namespace
def test_refusals_of_an_interface() -> None:
    found = in_namespace("""
down = refused(l2dsr(), "v0", tap="B")
ip("link", "set", "v0", "up")
ip("link", "set", "v0", "mtu", "68")
import dataclasses
frame = l2dsr().kept[0]
long = dataclasses.replace(l2dsr(), kept=(dataclasses.replace(frame, data=frame.data + bytes(60), wire_octets=118),))
names = ["v9", "nothing-like-it", "a-name-longer-than-any", "", "v\\0"]
print(json.dumps([down, refused(long, "v0", tap="A"), *(refused(l2dsr(), name, tap="B") for name in names)]))
""")
    assert found == [
        "v0 is down (ip link set v0 up)",
        "v0: a frame of 118 octets does not fit the MTU of 68",
        "there is no interface 'v9' (did you mean 'v1'?)",
        "there is no interface 'nothing-like-it' (there are: lo, v0, v1)",
        "there is no interface 'a-name-longer-than-any' (there are: lo, v0, v1)",
        "there is no interface '' (there are: lo, v0, v1)",
        "there is no interface 'v\\x00' (did you mean 'v1'?)",
    ]


@needs_namespace
def test_an_interface_that_goes_down_meanwhile() -> None:
    found = in_namespace("""
ip("link", "set", "v0", "up")
import dataclasses
module = sys.modules["dsrkit.craft.output.send"]
module.time.sleep = lambda seconds: ip("link", "set", "v0", "down")
slow = [dataclasses.replace(frame, ts_ns=10**9 * number) for number, frame in enumerate(l2dsr().kept)]
print(json.dumps(refused(dataclasses.replace(l2dsr(), kept=tuple(slow)), "v0", tap="B")))
""")
    assert found == "v0: Network is down (1 sent before)"


def test_without_permission() -> None:
    script = "import sys; sys.path.insert(0, sys.argv[1]); from craft_scenarios import l2dsr\n"
    script += "from dsrkit.craft.output.send import send\nfrom dsrkit.errors import UsageError\nimport os\n"
    script += "if os.geteuid() == 0:\n    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    script += "try:\n    send(l2dsr(), 'lo', tap='B')\nexcept UsageError as error:\n    print(error)\n"
    argv = [sys.executable, "-c", script, str(TESTS)]
    run = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "HOME": "/nonexistent"})
    assert run.stdout == "sending needs root, or the capability CAP_NET_RAW\n", run.stderr


def test_the_plan_says_who_will_be_heard() -> None:
    assert plan(l2dsr(), "eth1", tap="B") == (
        "3 frames of tap B (158 octets) go out on eth1, over 0.000 s\n"
        "  from MAC  02:00:00:00:00:02, 02:00:00:00:00:0b\n"
        "  from IP   198.51.100.10, 203.0.113.1\n"
    )
    assert plan(volume(batches=2, copies=10), "eth1", tap="D", fast=True).startswith(
        "40 frames of tap D (2240 octets) go out on eth1, as fast as possible\n"
    )


def test_the_plan_finds_addresses_behind_tags_and_counts_many() -> None:
    v6, v4 = IPv6(src="2001:db8::1", dst="2001:db8::2"), IP(src="192.0.2.9", dst="192.0.2.1")
    macs = [f"02:00:00:00:00:{n:02x}" for n in range(9)]
    packets = [Ether(src=mac, dst=LB) / Dot1Q() / v6 / UDP() for mac in macs]
    packets += [Ether(src=macs[0], dst=LB, type=0x0800), Ether(src=macs[0], dst=LB) / v4]
    kept = tuple(frame("A", n, packet, n) for n, packet in enumerate(packets))
    text = plan(Scenario("nat", "ipvs", TAPS, spec(), kept=kept), "eth1", tap="A")
    assert "02:00:00:00:00:05 and 3 more\n" in text
    assert text.endswith("  from IP   192.0.2.9, 2001:db8::1\n")


def test_taps_that_cannot_be_sent() -> None:
    with pytest.raises(UsageError, match=r"no tap 'E' \(there are: A, B, C, D\)"):
        plan(l2dsr(), "lo", tap="E")
    with pytest.raises(UsageError, match="tap 'A' has no frames to send"):
        send(Scenario("nat", "ipvs", TAPS, spec()), "lo", tap="A")
    cut = tuple(dataclasses.replace(frame, data=frame.data[:30]) for frame in l2dsr().kept)
    with pytest.raises(UsageError, match="leave out the snaplen"):
        send(dataclasses.replace(l2dsr(), kept=cut), "lo", tap="A")
