"""A capture frame by frame: what each is in load-balancing terms, window by window, in constant memory.

Columns decide for all frames of a window at once; text is made only of the rows that somebody asks for.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from functools import cached_property
from typing import IO

from dsrkit.inspect.head import Head, Known, Taps, frames_of, know
from dsrkit.inspect.listing import heading
from dsrkit.inspect.packets import defect_text, packet_text
from dsrkit.inspect.repeats import Repeated, Repeats
from dsrkit.inspect.roles import Roles
from dsrkit.model.spec import Spec
from dsrkit.verify.frames import AddressBook, Frames
from dsrkit.wire.capture import Capture, Window, read
from dsrkit.wire.scanner import GUE_PORTS


class Described:
    """The frames of one window; rows count from 0 within it.

    `window` holds their records and octets, `first` is the number of the first frame, as Wireshark counts. All texts
    are unescaped: they may hold what packets and files say.
    """

    def __init__(
        self, window: Window, frames: Frames, known: Known, repeated: Repeated, before: Described | None
    ) -> None:
        self.window = window
        self.first = window.first_row + 1
        self.repeated = repeated
        self._frames = frames
        self._known = known
        self._before = before
        self._said: dict[int, str] = {}  # a list asks for all roles first, and then for the packets beside them
        if before is not None:
            before._before = None  # one window back is enough, and memory has an end

    def __len__(self) -> int:
        return len(self.window.rec)

    @cached_property
    def _roles(self) -> Roles:
        return Roles(self._frames, self._known, self._before._roles if self._before is not None else None)

    def role(self, i: int) -> str:
        """What the frame is in load-balancing terms; empty for traffic that has nothing to do with it."""
        if i not in self._said:
            words = [self._roles.text(i)]
            earlier = int(self.repeated.of[i])
            if earlier:
                words.append(f"{'copy' if self.repeated.copied[i] else 'retransmission'} of frame {earlier}")
            words.append(self.defect(i))
            self._said[i] = ", ".join(word for word in words if word)
        return self._said[i]

    def summary(self, i: int) -> str:
        """Addresses, ports and flags, outer headers first, and what the payload begins with."""
        return packet_text(self._frames, i)

    def packet(self, i: int) -> str:
        """The summary without what the role says already, which may be the outer headers."""
        role = self.role(i)
        return packet_text(self._frames, i, outer=" outer " not in role, known=role)

    def defect(self, i: int) -> str:
        """Why the frame could not be read to its end; empty if it could."""
        return defect_text(self._frames, i)

    def node(self, i: int) -> str:
        """The machine that sent the frame on its link, as the heading names it; empty if unknown."""
        return self._known.words.machine(int(self._frames.rec["eth_src"][i]))

    def tap(self, i: int) -> str:
        """The interface that the frame was captured on."""
        return self._known.taps[int(self._frames.tap[i])].name


class Survey:
    """A capture with the roles of its frames.

    `source` is a path, ``"-"``, or an open binary file. Roles are decided on the head of the capture (see `heading`);
    what `spec`, `mode` and `vip` state is not inferred.

    Raises: DsrkitError for files that cannot be read, and statements that make no sense.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | IO[bytes],
        *,
        spec: Spec | os.PathLike[str] | str | None = None,
        mode: str | None = None,
        vip: Collection[str] = (),
        gue_ports: Collection[int] = GUE_PORTS,
    ) -> None:
        loaded = spec if isinstance(spec, Spec) or spec is None else Spec.load(spec)
        self.capture: Capture = read(source, gue_ports=gue_ports)
        self._taps = Taps(self.capture, file_name(self.capture.path), loaded)
        self._head: Head | None = Head(self.capture)
        self._known = know(self._head, self._taps, spec=loaded, mode=mode, vip=vip)

    @property
    def heading(self) -> list[str]:
        """Mode, VIP, machines, and from what that is known: lines to stand above the frames."""
        return heading(self._known)

    @property
    def several_taps(self) -> bool:
        """Whether the capture was taken at several places."""
        return len(self._taps.known) > 1

    @property
    def notes(self) -> list[str]:
        """What the reader has to say, complete when all has been read."""
        return self.capture.notes

    def batches(self) -> Iterator[Described]:
        """All frames in the order of the file, window by window. A pipe can be read only once."""
        head, self._head = self._head, None
        windows = iter(head) if head is not None else self.capture.windows()
        repeats = Repeats()
        described: Described | None = None
        for window in windows:
            if len(window.rec):
                frames = frames_of(window, self._taps, AddressBook(self._known.scene.book))
                before = described if self.several_taps else None
                described = Described(window, frames, self._known, repeats.see(frames), before)
                yield described


def file_name(path: str) -> str:
    """What to call a capture of one interface: its file's name without endings."""
    return "stdin" if path == "-" else os.path.basename(path).split(".")[0] or path
