"""Loss accuses nobody: a datagram that is lost is not sent again, and no machine has kept it."""

from __future__ import annotations

from pathlib import Path

import pytest

import dsrkit


@pytest.mark.parametrize("mode", ["nat", "l3dsr-tunnel", "l3dsr-dscp"])
@pytest.mark.parametrize("seed", [1, 2, 3, 5])
def test_lost_datagrams_accuse_nobody(mode: str, seed: int, tmp_path: Path) -> None:
    file = tmp_path / "made.pcapng"
    dsrkit.craft(mode, flows=20, seed=seed, protocol="udp", loss="5%").write(file)
    assert [f.code for f in dsrkit.verify(file).findings if f.severity != "info"] == []


def test_a_server_that_answers_no_datagram_is_found(tmp_path: Path) -> None:
    file = tmp_path / "made.pcapng"
    dsrkit.craft("l2dsr", fault="DSR301", flows=12, protocol="udp").write(file)
    assert [f.code for f in dsrkit.verify(file).findings] == ["DSR301"]
