"""The frames of one window, as filters and tables ask for them: columns first, the rest for single frames on demand."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from dsrkit.wire.capture import Capture, Window
from dsrkit.wire.columns import Array, Columns, Mask
from dsrkit.wire.dissect.frame import dissect
from dsrkit.wire.dissect.tree import Dissection
from dsrkit.wire.scanner import GUE_PORTS

if TYPE_CHECKING:
    from dsrkit.inspect.survey import Described

_KEPT: Final = 64
"""Frames taken apart that are kept: filters, trees and tables may ask for the same one."""


class Batch:
    """One window; rows count from 0 within it. `described` is there if roles are asked for.

    `started` is the time of the capture's first frame. Units: nanoseconds.
    """

    def __init__(
        self,
        capture: Capture,
        window: Window,
        started: int,
        described: Described | None = None,
        gue_ports: frozenset[int] = GUE_PORTS,
    ) -> None:
        self.window = window
        self.columns = Columns(window.rec)
        self.described = described
        self._capture = capture
        self._started = started
        self._gue_ports = gue_ports
        # No cache that refers back to the batch: a window's memory is used again once nobody holds the window.
        self._taken: dict[int, Dissection] = {}
        self._columns: dict[str, tuple[Mask, Array]] = {}

    def __len__(self) -> int:
        return len(self.window.rec)

    @cached_property
    def defective(self) -> Mask:
        """Frames that could not be read to their end."""
        mask: Mask = np.not_equal(self.window.rec["defect"], 0)
        return mask

    def number(self, i: int) -> int:
        """The frame's number in the file, from 1."""
        return self.window.first_row + i + 1

    def numbers(self, name: str) -> npt.NDArray[np.int64]:
        """One of `dsrkit.inspect.fields.ROW` that is a number or a time."""
        if name == "frame.number":
            return np.arange(self.window.first_row + 1, self.window.first_row + 1 + len(self), dtype=np.int64)
        times: npt.NDArray[np.int64] = self.window.rec["ts_ns"]
        return times - self._started if name == "frame.time_relative" else times

    def texts(self, name: str, i: int) -> list[str]:
        """One of `ROW` that is text, of one frame: none where there is nothing to say."""
        text = ""
        if name == "frame.comment":
            return self.window.comments(i)
        if name == "frame.interface_name":
            interface = int(self.window.rec["iface"][i])
            text = self._capture.interfaces[interface].name if interface < len(self._capture.interfaces) else ""
        elif self.described is not None:
            text = getattr(self.described, name)(i)
        return [text] if text else []

    def column(self, name: str) -> tuple[Mask, Array]:
        """Where a column is there, and its values."""
        if name not in self._columns:
            self._columns[name] = self.columns.present(name), self.columns[name]
        return self._columns[name]

    def dissection(self, i: int) -> Dissection:
        """A frame taken apart."""
        if i not in self._taken:
            if len(self._taken) >= _KEPT:
                self._taken.clear()
            record = self.window.rec[i]
            self._taken[i] = dissect(
                bytes(self.window.packet(i)),
                int(record["linktype"]),
                wirelen=int(record["wirelen"]),
                gue_ports=self._gue_ports,
            )
        return self._taken[i]
