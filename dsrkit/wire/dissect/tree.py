"""What a dissected frame is: layers of fields, each with the octets that it stands in.

Layers are numbered per protocol from the outside, as everywhere (``ip#2`` is the inner IPv4 header of an IPIP packet);
those that an ICMP error quotes are marked and not counted. A frame that cannot be read to its end keeps the layers that
could be read, and says which length failed, and who claimed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import TypeAlias

from dsrkit.classes import dataclass

Scalar: TypeAlias = int | str | bytes
"""Numbers and flags as int, addresses and text as str (unescaped: escape it where it is shown), the rest as octets."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a header.

    `name` is Wireshark's (``ip.ttl``); `start` and `stop` are octets of the frame; `mask` says which bits of them, 0
    for all. `text` is how Wireshark prints the value, `remark` what there is to say of it (``good``, ``partial``).
    """

    name: str
    value: Scalar
    start: int
    stop: int
    mask: int = 0
    text: str = ""
    remark: str = ""

    @property
    def shown(self) -> str:
        """The value as text: unescaped."""
        if self.text:
            return self.text
        return self.value.hex() if isinstance(self.value, bytes) else str(self.value)


@dataclass(slots=True)
class Layer:
    """One header, and how far it reaches: octets `start` to `stop` of the frame, without what it carries."""

    name: str
    number: int
    start: int
    stop: int
    fields: list[Field] = field(default_factory=list)
    quoted: bool = False

    def get(self, name: str) -> Field | None:
        """The first field of a name."""
        return next((f for f in self.fields if f.name == name), None)


@dataclass(frozen=True, slots=True)
class Defect:
    """Why reading stopped: values and names as in `dsrkit.wire.layout` (DEFECT_*, LAYER_*, BY_*).

    Units: `need` and `have` are octets.
    """

    kind: int
    layer: int
    need: int
    have: int
    claimed_by: int


@dataclass(slots=True)
class Dissection:
    """A frame, taken apart. `payload` is where the innermost payload lies, `trailer` where octets follow what the
    headers claim (Ethernet padding)."""

    linktype: int
    octets: bytes
    wirelen: int
    layers: list[Layer] = field(default_factory=list)
    defect: Defect | None = None
    payload: tuple[int, int] | None = None
    trailer: tuple[int, int] | None = None

    def layer(self, name: str, number: int = 1) -> Layer | None:
        """A layer that is not quoted."""
        found = (one for one in self.layers if one.name == name and one.number == number and not one.quoted)
        return next(found, None)

    def get(self, name: str) -> Field | None:
        """A field by its name and layer number (``ip.dst#2``; 1 without a number)."""
        base, _, number = name.partition("#")
        return next((f for f in self.fields(base, int(number or 1))), None)

    def fields(self, name: str, number: int = 1) -> Iterator[Field]:
        """Every field of a name in the layers of a number, quoted ones left out."""
        for layer in self.layers:
            if layer.number == number and not layer.quoted:
                yield from (f for f in layer.fields if f.name == name)
