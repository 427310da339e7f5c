"""ARP frames and the announcements of real programs, against frames that those programs sent."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from dsrkit.craft.packets import arp
from dsrkit.craft.packets.arp import FORMS, announcements
from dsrkit.errors import UsageError

VECTORS = Path(os.environ.get("DSRKIT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
INDEX = VECTORS / "garp-senders" / "index.json"
needs_vectors = pytest.mark.skipif(not INDEX.exists(), reason=f"no third-party vectors: {INDEX} is not there")

VIP, MAC = "192.0.2.10", "02:00:00:00:00:01"
VIP6 = "2001:db8:b::100"

# vector → form and which of its frames
BY_FORM = {
    "garp/01 keepalived": ("keepalived", 0),
    "garp/02 metallb request": ("metallb", 0),
    "garp/03 metallb reply": ("metallb", 1),
    "garp/04 kube-vip reply": ("kube-vip", 0),
    "garp/05 kube-vip request": ("kube-vip", 1),
    "garp/06 seesaw": ("seesaw", 0),
    "garp/07 linux kernel arp_notify": ("linux", 0),
}


def published(vector: str) -> str:
    vectors = json.loads(INDEX.read_text(encoding="utf-8"))["vectors"]
    return str(next(v["hex"] for v in vectors if v["id"] == vector))


@needs_vectors
@pytest.mark.parametrize("vector", BY_FORM)
def test_form_is_the_published_frame(vector: str) -> None:
    form, index = BY_FORM[vector]
    assert announcements(form, VIP, MAC)[index][1].hex() == published(vector)


@needs_vectors
def test_probe_is_the_published_frame() -> None:
    assert arp.probe(VIP, MAC).hex() == published("garp/08 RFC 5227 probe (contrast)")


@needs_vectors
def test_any_fields_make_the_published_frame() -> None:
    frame = arp.arp(arp.REQUEST, MAC, "110.0.11.1", "ff:ff:ff:ff:ff:ff", VIP)
    assert frame.hex() == published("garp/09 ordinary request (contrast)")


@needs_vectors
def test_every_vector_is_used() -> None:
    ids = {v["id"] for v in json.loads(INDEX.read_text(encoding="utf-8"))["vectors"]}
    assert ids - BY_FORM.keys() == {"garp/08 RFC 5227 probe (contrast)", "garp/09 ordinary request (contrast)"}


# recorded from the programs themselves
RECORDED = {
    "arping-U": "ffffffffffff021b0000020b08060001080006040001021b0000020bc0000264ffffffffffffc0000264",
    "arping-A": "ffffffffffff021b0000020b08060001080006040002021b0000020bc0000264021b0000020bc0000264",
    "keepalived": "ffffffffffff021b0000020b08060001080006040001021b0000020bc0000264ffffffffffffc0000264",
    "linux": "ffffffffffff021b0000020b08060001080006040001021b0000020bc0000264000000000000c0000264",
}


@pytest.mark.parametrize("form", RECORDED)
def test_form_is_the_recorded_frame(form: str) -> None:
    assert announcements(form, "192.0.2.100", "02:1b:00:00:02:0b")[0][1].hex() == RECORDED[form]


def test_request_and_reply_are_the_recorded_frames() -> None:
    # b10-dr-arp-announce-wrong: the server's request with the VIP as sender, the load balancer's answer to the router
    assert arp.request("192.0.2.1", "192.0.2.100", "02:55:00:00:00:03").hex() == (
        "ffffffffffff02550000000308060001080006040001025500000003c0000264000000000000c0000201"
    )
    assert arp.reply("192.0.2.100", "02:1b:00:00:01:0b", "192.0.2.1", "02:aa:00:00:00:0b").hex() == (
        "02aa0000000b021b0000010b08060001080006040002021b0000010bc000026402aa0000000bc0000201"
    )


def fields(frame: bytes) -> tuple[int, str, str, str]:
    """Operation, sender's protocol address, target's hardware and protocol address."""
    return (frame[21], frame[28:32].hex(), frame[32:38].hex(), frame[38:42].hex())


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("request", [(1, "c000020a", "000000000000", "c000020a")]),
        ("reply", [(2, "c000020a", "020000000001", "c000020a")]),
        ("send-arp", [(2, "c000020a", "ffffffffffff", "ffffffff")]),
        ("heartbeat", [(1, "c000020a", "ffffffffffff", "c000020a"), (2, "c000020a", "ffffffffffff", "c000020a")]),
    ],
)
def test_forms_without_a_published_frame(form: str, expected: list[tuple[int, str, str, str]]) -> None:
    frames = [frame for _, frame in announcements(form, VIP, MAC)]
    assert [fields(frame) for frame in frames[: len(expected)]] == expected
    assert {frame[:14].hex() for frame in frames} == {"ffffffffffff0200000000010806"}
    assert {len(frame) for frame in frames} == {42}


def milliseconds(form: str, vip: str = VIP) -> list[int]:
    return [at // 1_000_000 for at, _ in announcements(form, vip, MAC)]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("linux", [0]),
        ("request", [0, 2000]),
        ("arping-A", [0, 1000, 2000]),
        ("keepalived", [0, 1, 2, 3, 4, 5000, 5001, 5002, 5003, 5004]),
        ("metallb", [0, 1, 1100, 1101, 2200, 2201, 3300, 3301, 4400, 4401]),
        ("kube-vip", [0, 3000, 6000, 9000]),
        ("seesaw", [0, 10000]),
    ],
)
def test_habits_of_time(form: str, expected: list[int]) -> None:
    assert milliseconds(form) == expected


def test_habits_of_time_with_ipv6() -> None:
    assert milliseconds("metallb", VIP6) == [0, 1100, 2200, 3300, 4400]
    assert milliseconds("keepalived", VIP6) == milliseconds("keepalived")


def test_instants_can_be_given() -> None:
    # as recorded: garp_master_repeat 3, garp_master_delay 2
    made = announcements("keepalived", VIP, MAC, at_ms=(0, 0, 0, 2000, 2000, 2000))
    assert [at // 1_000_000 for at, _ in made] == [0, 1, 2, 2000, 2001, 2002]
    assert len({frame for _, frame in made}) == 1


def test_instants_stay_in_order() -> None:
    made = announcements("linux", VIP, MAC, at_ms=(0, 0, 0, 1, 9))
    assert [at for at, _ in made] == [0, 1_000_000, 2_000_000, 3_000_000, 9_000_000]


def test_turns_go_on_over_given_instants() -> None:
    made = announcements("kube-vip", VIP, MAC, at_ms=(0, 500, 1000))
    assert [frame[21] for _, frame in made] == [2, 1, 2]


# garp-keepalived-ipv6 and ipvs-dr-ipv6: S=0 O=1 R=1, from the VIP to all nodes
def test_ipv6_forms_are_unsolicited_advertisements() -> None:
    for form in ("keepalived", "linux", "unsolicited-na"):
        frame = announcements(form, VIP6, MAC)[0][1]
        assert frame[:14].hex() == "33330000000102000000000186dd"
        assert frame[22:38].hex() == "20010db8000b00000000000000000100"
        assert frame[58:62].hex() == "a0000000"
    for form in ("metallb", "kube-vip"):
        frame = announcements(form, VIP6, MAC)[0][1]
        assert frame[22:38].hex() == "fe80000000000000" + "000000fffe000001"
        assert frame[58:62].hex() == "20000000"


@pytest.mark.parametrize("form", FORMS)
def test_vlan_tag_stands_after_the_addresses(form: str) -> None:
    vip = VIP if FORMS[form].ipv4 else VIP6
    for (at, plain), (tagged_at, tagged) in zip(
        announcements(form, vip, MAC), announcements(form, vip, MAC, vlan=100), strict=True
    ):
        assert at == tagged_at
        assert tagged == plain[:12] + bytes.fromhex("81000064") + plain[12:]


def test_ethernet_source_may_differ() -> None:
    frame = arp.arp(arp.REPLY, MAC, VIP, MAC, VIP, src="02:00:00:00:00:99")
    assert frame[6:12].hex(":") == "02:00:00:00:00:99"
    assert frame[22:28].hex(":") == MAC


def test_every_form_says_what_it_is() -> None:
    for form in FORMS.values():
        assert re.fullmatch(r"\S.{20,118}[^.\s]", form.title)
        assert form.source
        assert form.ipv4 or form.ipv6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("keepalive", VIP, MAC), "unknown form of announcement 'keepalive' (did you mean keepalived?)"),
        (("xyz", VIP, MAC), "unknown form of announcement 'xyz' (there are request, reply,"),
        (
            ("arping-A", VIP6, MAC),
            "form arping-A does not announce IPv6 addresses such as 2001:db8:b::100 (these do: k",
        ),
        (("unsolicited-na", VIP, MAC), "form unsolicited-na does not announce IPv4 addresses"),
        (("linux", "192.0.2.300", MAC), "'192.0.2.300' is not an IP address"),
        (("linux", VIP, "02-00-00-00-00-01"), "'02-00-00-00-00-01' is not a MAC address (write 02:00:00:00:00:01)"),
    ],
)
def test_mistakes(arguments: tuple[str, str, str], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        announcements(*arguments)


@pytest.mark.parametrize("at_ms", [(-1,), (5, 3)])
def test_mistaken_instants(at_ms: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="instants of announcements must rise from 0 on"):
        announcements("linux", VIP, MAC, at_ms=at_ms)


def test_mistaken_vlan() -> None:
    with pytest.raises(UsageError, match="VLAN id is 4095, not within 0 to 4094"):
        arp.probe(VIP, MAC, vlan=4095)
