"""An entry of the catalogue of faults: everything that a person needs to know about one code."""

from __future__ import annotations

from typing import Final, Literal

from dsrkit.classes import dataclass
from dsrkit.model.names import Mode, Severity

Area = Literal["ARP", "NAT", "DSR", "TUN", "DSC", "DNS", "HCK", "PRX", "CAP"]
Evidence = Literal["recorded", "source", "lab", "general", "guess"]

AREAS: Final[dict[Area, str]] = {
    "ARP": "ARP, GARP and who owns the VIP",
    "NAT": "NAT and full NAT",
    "DSR": "L2DSR, and what all direct server return shares",
    "TUN": "tunnels to the real server",
    "DSC": "DSCP marks (L3DSR)",
    "DNS": "DNS round robin",
    "HCK": "health checks",
    "PRX": "proxies (L7)",
    "CAP": "artefacts of capturing: they accuse nobody",
}


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Another code with nearly the same packets, and what tells the two apart; `told_by` is a sentence."""

    code: str
    told_by: str


@dataclass(frozen=True, slots=True)
class Fix:
    """One way to mend it: where (a role or a kind of system), the commands or settings if any, and why they help."""

    where: str
    commands: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One code of the catalogue.

    `summary` says in one sentence what is wrong; `signature` what the packets show and at which hop; `cause` how it
    comes about; `effect` what users notice. `decide` are commands that settle it on the machine where packets cannot.
    `from_packets` is False for causes on a host that packets cannot tell from those named in `same_picture`: they are
    reported as candidates only. `sources` name where it is known from.
    """

    code: str
    name: str
    severity: Severity
    summary: str
    signature: str
    cause: str
    effect: str = ""
    modes: tuple[Mode, ...] = ()
    look_alikes: tuple[LookAlike, ...] = ()
    same_picture: tuple[str, ...] = ()
    decide: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    sources: tuple[str, ...] = ()
    evidence: Evidence = "source"
    from_packets: bool = True
    example: str = ""
    """How to see it: a command of `dsrkit craft` or a recording in `pcaps/`."""
    told: str = ""
    """Options that verify needs to see it in the example."""
    says: str = ""
    """What `dsrkit verify` says of the example where that is not this code first; or why there is no example."""

    @property
    def area(self) -> str:
        return self.code[:3]

    @property
    def shown_by(self) -> str:
        """The line to paste into a shell: the example, judged; empty without one.

        >>> Entry("X", "x", "error", "", "", "", example="dsrkit craft nat --fault NAT201").shown_by
        'dsrkit craft nat --fault NAT201 -w - | dsrkit verify -'
        """
        verify = f"dsrkit verify {self.told}".strip()
        if self.example.startswith("dsrkit "):
            return f"{self.example} -w - | {verify} -"
        return f"{verify} {self.example}/*.pcap" if self.example else ""
