"""Verification with specs that leave something open."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dsrkit
from dsrkit.model.names import REWRITES


@pytest.mark.parametrize("mode", REWRITES)
@pytest.mark.parametrize("open_for", ["client", "router", "everybody"])
def test_machines_without_macs_in_the_spec_are_known_by_their_addresses(
    tmp_path: Path, mode: str, open_for: str
) -> None:
    dsrkit.craft(mode, flows=2).write_split(tmp_path)
    file = tmp_path / "dsr.toml"
    stated = dsrkit.verify(spec=file)
    nodes = re.split(r"(?=\[\[node\]\])", file.read_text())
    hidden = [re.sub("mac = .*\n", "", one) if open_for in ("everybody", _role(one)) else one for one in nodes]
    file.write_text("".join(hidden))
    assert "mac" not in hidden[1 if open_for == "client" else 2]
    found = dsrkit.verify(spec=file)
    assert [(one.name, one.ip) for one in found.nodes] == [(one.name, one.ip) for one in stated.nodes]
    assert [f.code for f in found.findings] == (["NAT210"] if mode == "fullnat" else [])  # a fact, as information
    macs = {one.name: set(one.mac) for one in stated.nodes}
    for one in found.nodes:  # a machine that nobody asks for an address is known by what it does, in part
        assert set(one.mac) <= macs[one.name]
    if open_for != "everybody":
        assert found.nodes == stated.nodes


def _role(node: str) -> str:
    found = re.search('role = "(.*)"', node)
    return found[1] if found else ""
