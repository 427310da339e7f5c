"""Choices that would silently do nothing are mistakes."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from dsrkit.craft.options import flag
from dsrkit.errors import UsageError
from dsrkit.setup.ipvs import IPVS
from dsrkit.setup.nft import NFT
from dsrkit.setup.site import Choices, Site

USUAL: Final = Choices()


def refuse_idle(site: Site) -> None:
    """Refuse a choice that changes nothing on any machine of a set-up.

    Raises: UsageError saying what the choice needs.
    """
    needs = {
        "engine": (site.path in (*NFT, "l3dsr-dscp"), f"of {', '.join(NFT)}"),
        "mss": (site.path == "l3dsr-tunnel" and not site.options.pmtud, "of l3dsr-tunnel, without --pmtud"),
        "firewall": (_writes_rules(site), "of fullnat, --mss clamp and --vip-on dnat"),
        "scheduler": (site.choices.engine == "ipvs" and site.path in IPVS, f"of --engine ipvs in {', '.join(IPVS)}"),
        "unicast": (site.vrrp, "of a takeover by VRRP"),
    }
    for field in fields(Choices):
        value = getattr(site.choices, field.name)
        used, whose = needs.get(field.name, (True, ""))
        if value != getattr(USUAL, field.name) and not used:
            said = flag(field.name) if value is True else f"{flag(field.name)} {value}"
            raise UsageError(f"{said} is a choice {whose}, and this is {site.mode}")


def _writes_rules(site: Site) -> bool:
    clamps = site.path == "l3dsr-tunnel" and site.choices.mss == "clamp"
    return clamps or site.path == "fullnat" or site.choices.vip_on == "dnat"
