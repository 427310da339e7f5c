"""A capture as batches of frames: with their roles where these are asked for, straight from the scan where not."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import IO, TYPE_CHECKING

from dsrkit.inspect.batch import Batch
from dsrkit.wire.capture import Window, read
from dsrkit.wire.scanner import GUE_PORTS

if TYPE_CHECKING:
    from dsrkit.inspect.survey import Described, Survey
    from dsrkit.model.spec import Spec


class View:
    """A capture that is looked at. `roles` costs a look at its head, and time for every frame.

    `source`, `spec`, `mode` and `vip` are as for `Survey`; `gue_ports` are further UDP ports that may be GUE's.

    Raises: DsrkitError for files that cannot be read, and statements that make no sense.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | IO[bytes],
        *,
        roles: bool,
        spec: Spec | os.PathLike[str] | str | None = None,
        mode: str | None = None,
        vip: Collection[str] = (),
        gue_ports: Collection[int] = (),
    ) -> None:
        self._gue_ports = GUE_PORTS | frozenset(gue_ports)
        self._survey: Survey | None = None
        if roles:  # what only reads columns starts without the inference
            from dsrkit.inspect.survey import Survey

            self._survey = Survey(source, spec=spec, mode=mode, vip=vip, gue_ports=self._gue_ports)
        self.capture = self._survey.capture if self._survey else read(source, gue_ports=self._gue_ports)

    @property
    def heading(self) -> list[str]:
        """Lines to stand above the frames: what is known of the set-up. Unescaped."""
        return self._survey.heading if self._survey else []

    @property
    def several_taps(self) -> bool:
        """Whether the capture was taken at several places."""
        return len(self.capture.interfaces) > 1

    def batches(self) -> Iterator[Batch]:
        """All frames in the order of the file."""
        started: int | None = None
        for window, described in self._windows():
            if not len(window.rec):
                continue
            if started is None:
                started = int(window.rec["ts_ns"][0])
            yield Batch(self.capture, window, started, described, self._gue_ports)

    def _windows(self) -> Iterator[tuple[Window, Described | None]]:
        if self._survey:
            for described in self._survey.batches():
                yield described.window, described
        else:
            for window in self.capture.windows():
                yield window, None
