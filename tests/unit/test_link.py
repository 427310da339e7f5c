"""The cable to a real program: what goes in, what comes out, what ends, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from needs import present

from dsrkit.testing import room as room_module
from dsrkit.testing.link import DEVICE, Device, running
from dsrkit.testing.room import RoomError, room, why_not
from dsrkit.wire.dissect.frame import dissect

needs_root = present(why_not())

HERE = bytes.fromhex("020000000001")
THERE = bytes.fromhex("020000000002")


def frame(number: int, octets: int = 60) -> bytes:
    return THERE + HERE + b"\x88\xb5" + number.to_bytes(4, "big") + bytes(octets - 18)


def packet_socket(interface: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    opened.bind((interface, 0))
    return opened


def reflects(interface: str) -> None:
    """Send every frame back with its addresses swapped."""
    cable = packet_socket(interface)
    while True:
        octets, sender = cable.recvfrom(65535)
        if sender[2] != socket.PACKET_OUTGOING:
            cable.send(octets[6:12] + octets[:6] + octets[12:])


def swallows(interface: str) -> None:
    cable = packet_socket(interface)
    while True:
        cable.recv(65535)


def doubles(interface: str) -> None:
    cable = packet_socket(interface)
    while True:
        octets = cable.recv(65535)
        cable.send(octets)
        cable.send(octets)


def back(octets: bytes) -> bytes:
    return octets[6:12] + octets[:6] + octets[12:]


@needs_root
def test_frames_come_out_in_order_as_the_program_makes_them() -> None:
    frames = [frame(number) for number in range(1000)]
    with running(reflects) as device:
        assert device.exchange(frames, expect=1000, timeout=20) == [back(one) for one in frames]
        assert device.exchange(frames[:1]) == [back(frames[0])]


@needs_root
def test_what_is_too_much_is_seen_and_silence_too() -> None:
    with running(doubles) as device:
        assert device.exchange(frame(1), expect=1) == [frame(1)] * 2
    with running(swallows) as device:
        assert device.exchange(frame(1), expect=0) == []
        assert device.exchange(frame(1), timeout=0.1) == []


@needs_root
@pytest.mark.parametrize("tag", [bytes.fromhex("81000064"), bytes.fromhex("88a8e001")])
def test_tags_are_kept(tag: bytes) -> None:
    tagged = HERE + THERE + tag + frame(1)[12:]
    with running(lambda interface: sends(interface, tagged)) as device:
        assert device.collect(expect=1) == [tagged]


def sends(interface: str, octets: bytes) -> None:
    cable = packet_socket(interface)
    cable.send(octets)
    while True:
        cable.recv(65535)


@needs_root
def test_a_function_keeps_what_it_closes_over_and_has_a_process_of_its_own() -> None:
    seen: list[int] = []

    def program(interface: str) -> None:
        seen.append(1)
        cable = packet_socket(interface)
        cable.send(frame(len(seen)) + interface.encode() + os.getcwd().encode())
        cable.recv(65535)

    with running(program) as device:
        (octets,) = device.collect(expect=1)
    assert octets == frame(1) + DEVICE.encode() + str(Path.cwd()).encode()
    assert not seen


@needs_root
def test_a_command_is_ready_when_it_says_so() -> None:
    program = "import time; print('rea' + 'dy', flush=True); time.sleep(60)"
    with running([sys.executable, "-c", program], ready="ready") as device:
        assert device.program is not None
        assert device.program.said == "ready"
        assert device.program.poll() is None


@needs_root
def test_a_command_is_ready_when_it_has_a_socket() -> None:
    program = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 80)); s.listen(); s.accept()"
    with running([sys.executable, "-c", program], setup="ip link set lo up") as device:
        assert ":80" in device.run("ss -Htln")


@needs_root
def test_readiness_may_be_a_function_and_has_an_end() -> None:
    asked = iter([False, False, True])
    with running(["sleep", "60"], ready=lambda: next(asked)):
        assert next(asked, None) is None
    with pytest.raises(RoomError, match=r"not ready after 0\.05 s"), running(["sleep", "60"], patience=0.05):
        pass


@needs_root
@pytest.mark.parametrize(
    ("program", "said"),
    [
        (["sh", "-c", "echo no such service >&2; exit 3"], "exit code 3: no such service"),
        (lambda interface: 1 // 0, "ZeroDivisionError"),
        (["dsrkit-no-such-program"], "dsrkit-no-such-program"),
    ],
)
def test_a_program_that_ends_at_once_is_told_with_what_it_said(
    program: list[str] | Callable[[str], object], said: str
) -> None:
    with pytest.raises(RoomError, match=said), running(program):
        pass


@needs_root
def test_a_program_that_ends_in_between_is_told() -> None:
    def program(interface: str) -> None:
        packet_socket(interface).recv(65535)
        raise ValueError("cannot read this")

    with running(program) as device, pytest.raises(RoomError, match="cannot read this"):
        device.exchange(frame(1), timeout=5)


@needs_root
def test_a_program_that_does_not_read_is_told() -> None:
    def program(interface: str) -> None:
        cable = packet_socket(interface)
        signal.pause()
        cable.close()

    with running(program) as device, pytest.raises(RoomError, match="does not read the frames"):
        device.exchange([frame(number) for number in range(100)], timeout=0.2)


@needs_root
def test_the_kernel_may_be_the_device() -> None:
    question = b"\xff" * 6 + HERE + bytes.fromhex("0806000108000604000102000000000a0a00000100000000000a000002")
    question = question[:22] + HERE + question[28:32] + bytes(6) + bytes([10, 0, 0, 2])
    with running(setup="ip addr add 10.0.0.2/24 dev eth0", mac="02:00:00:00:00:02") as device:
        (answer,) = device.exchange(question + bytes(18))
    arp = dissect(answer, 1)
    told = arp.get("arp.src.hw_mac")
    assert told is not None
    assert told.value == "02:00:00:00:00:02"


@needs_root
def test_what_the_kernel_sends_has_whole_checksums() -> None:
    """Offloads are off: a sum that is left to a card would be partial."""
    command = "exec 3<>/dev/udp/10.0.0.1/9; echo hello >&3"
    setup = [
        "ip addr add 10.0.0.2/24 dev eth0",
        f"ip neigh add 10.0.0.1 lladdr {HERE.hex(':')} dev eth0 nud permanent",
    ]
    with running(setup=setup) as device:
        device.run(["bash", "-c", command])
        (octets,) = device.collect(expect=1)
    checksum = dissect(octets, 1).get("udp.checksum")
    assert checksum is not None
    assert checksum.remark == "good"


@needs_root
def test_the_mtu_is_a_limit() -> None:
    with running(reflects, mtu=2000) as device:
        assert len(device.exchange(frame(1, 2014))[0]) == 2014
        with pytest.raises(RoomError, match="frame 1 of 2015 octets: Message too long"):
            device.exchange(frame(1, 2015))


@needs_root
def test_a_command_that_fails_is_told() -> None:
    with running() as device:
        with pytest.raises(RoomError, match=r"ip addr add nonsense.*: Error"):
            device.run("ip addr add nonsense dev eth0")
        with pytest.raises(RoomError, match=r"not done within 0\.05 s"):
            device.run(["sleep", "10"], timeout=0.05)
    with pytest.raises(RoomError, match="false: exit code 1"), running(setup=["false"]):
        pass


@needs_root
def test_namespaces_of_the_room_are_its_own() -> None:
    before = sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else []
    with running() as device:
        device.run("ip netns add inner; ip link add name v1 type veth peer name v2 netns inner")
        assert device.run("ip netns list").split()[0] == "inner"
        assert before == (sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else [])


VICTIM = """
import os, sys
sys.path[:0] = {path!r}
from dsrkit.testing.link import running

def program(interface):
    import socket, subprocess
    subprocess.Popen(["sleep", "300"], start_new_session=True)
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)).recv(65535)

with running(program) as device:
    device.run("setsid sleep 300 >&- 2>&- &")
    print(device.run(["readlink", "/proc/self/ns/pid"]).strip(), flush=True)
    sys.stdin.read()
"""


def inhabitants(space: str) -> set[str]:
    """The processes of a PID namespace."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.readlink(process / "ns/pid") == space:
                found.add(process.name)
    return found


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", VICTIM.format(path=sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


@needs_root
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None], ids=str)
def test_nothing_is_left_however_the_test_ends(victim: subprocess.Popen[str], how: signal.Signals | None) -> None:
    assert victim.stdout is not None
    space = victim.stdout.readline().strip()
    assert len(inhabitants(space)) >= 4  # init, the function and its child, a child of a command's
    if how is None:
        victim.communicate()
        assert victim.returncode == 0
    else:
        victim.send_signal(how)
        victim.wait()
    assert until(lambda: not inhabitants(space))


@needs_root
def test_two_links_know_nothing_of_each_other() -> None:
    with running(reflects) as one, running(swallows) as other:
        assert other.exchange(frame(1), expect=0) == []
        assert one.exchange(frame(2)) == [back(frame(2))]


@needs_root
def test_an_error_of_the_test_ends_the_program() -> None:
    def fails(found: Device) -> None:
        raise KeyError(found)

    with pytest.raises(KeyError) as caught, running(reflects) as device:
        fails(device)
    program = caught.value.args[0].program
    assert program.poll() is not None


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert why_not() == "it needs root"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(room_module, "missing_programs", lambda names: ["ethtool (package ethtool)"])
    assert why_not() == "not installed: ethtool (package ethtool)"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert why_not() == "it needs Linux"


def test_where_there_can_be_no_room_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "_TIED", ("sh", "-c", "echo Operation not permitted >&2; exit 1", "sh"))
    with pytest.raises(RoomError, match="no namespaces: Operation not permitted"), room():
        pass
