"""Golden pcaps: captures kept beside the tests, which packets are compared with by meaning."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.testing.frames import Compared, How, ignored
from dsrkit.testing.packets import Packets, Source, packets_of

KERNEL_CHOICE: Final = ("ip.id", "ipv6.flow", "ipv6.fraghdr.ident", "outer.udp.srcport")
"""What a sender chooses anew for each packet. Source: RFC 6864 s4, RFC 6437 s2, RFC 8200 s4.5, RFC 8086 s3.1."""
SUFFIX: Final = ".pcapng"
OTHER_SUFFIX: Final = ".pcap"
UPDATE: Final = "DSRKIT_UPDATE"
"""The environment variable that makes `assert_golden` write goldens where no plugin does."""


def in_ci() -> bool:
    """Whether tests run in continuous integration, by the variables that pytest itself goes by."""
    return any(os.environ.get(name) for name in ("CI", "BUILD_NUMBER"))


def assert_golden(
    seen: Source,
    name: str,
    *,
    folder: str | os.PathLike[str] = "pcaps",
    update: bool | None = None,
    mode: str | None = None,
    how: How = "copy",
    ignore: Collection[str] = (),
    only: Collection[str] = (),
) -> None:
    """Fail unless the packets are those of the golden `name` in `folder`, as `Goldens.check` says.

    `update` writes it instead; without a word about it the environment variable ``DSRKIT_UPDATE=1`` decides.

    Raises: AssertionError with what differs; UsageError where a golden should be written in CI.
    """
    __tracebackhide__ = True
    wanted = os.environ.get(UPDATE, "") not in ("", "0") if update is None else update
    goldens = Goldens(Path(folder), wanted, hint=f"{UPDATE}=1")
    goldens.check(seen, name, mode=mode, how=how, ignore=ignore, only=only)


@dataclass(slots=True, repr=False)
class Goldens:
    """The goldens of a folder.

    `hint` tells how to write one. `settled` are those that this run has written, or found right when it could have:
    what two tests write under one name has to be the same. `wrote` is told of every file.
    """

    folder: Path
    update: bool = False
    hint: str = "--dsrkit-update"
    settled: set[Path] = field(default_factory=set)
    wrote: Callable[[Path], None] = lambda path: None

    def __repr__(self) -> str:
        return f"<golden pcaps in {_shown(self.folder)}>"

    def check(
        self,
        seen: Source,
        name: str,
        *,
        mode: str | None = None,
        how: How = "copy",
        ignore: Collection[str] = (),
        only: Collection[str] = (),
    ) -> None:
        """Fail unless the packets are those of the golden, whatever their order and times.

        Fields are compared on decoded packets; a checksum counts by what it is worth, so that one which is left to the
        network card is as good as a right one. What a kernel chooses anew for each packet (`KERNEL_CHOICE`) does not
        count, unless `only` names the fields that do (``["*"]``: all). `ignore` and `only` are field names without
        layer number, with ``*``. ``how="rerun"`` is for captures of live traffic: ports, sequence numbers and what
        else each run chooses anew do not count either. `mode` says how the packets are balanced, where packets alone
        leave that open.

        Raises: AssertionError with what differs, or that there is no golden yet; UsageError for mistakes of the test.
        """
        __tracebackhide__ = True
        if self.update and in_ci():
            raise UsageError(f"no golden is written in CI ({self.hint}): write it where people look at it")
        if how not in ("copy", "rerun"):
            raise UsageError(f"how={how!r}: 'copy' or 'rerun'")
        packets = packets_of(seen)
        if not len(packets):
            raise AssertionError(f"golden {name!r}: no frame was seen, so there is nothing to compare")
        left_out = ignored(ignore, only, KERNEL_CHOICE)
        path = self.path(name)
        shown = _shown(path)
        found = None
        if path.is_file():
            found = Compared.of(packets_of(path), packets, how, mode, left_out, only)
            if found.equal:
                if self.update:
                    self.settled.add(path)
                return
        if self.update and path not in self.settled:
            self._write(packets, path)
            return
        if found is None:
            raise AssertionError(
                f"there is no golden {name!r} yet ({shown}): write it with {self.hint}, look at it, and commit it"
            )
        lines = [f"golden {name!r}: {found.short} ({shown} → seen)", *found.lines()]
        if path in self.settled:
            lines += ["", "another check of this run has this golden: give each its own name"]
        else:
            if how == "copy" and Compared.of(found.expected, packets, "rerun", mode, left_out, only).equal:
                lines += ["", 'all of that is what every run chooses anew: how="rerun" leaves it out']
            lines += ["", f"if this is how it should be: {self.hint}"]
        raise AssertionError("\n".join(lines))

    def path(self, name: str) -> Path:
        """The file of a golden, whether it exists or not: ``NAME.pcapng``, or ``NAME.pcap`` if only that is there.

        Raises: UsageError for a name that leads out of the folder.
        """
        pure = PurePath(name if isinstance(name, str) else "")
        if not pure.name or "\0" in name or pure.is_absolute() or ".." in pure.parts:
            raise UsageError(f"{name!r} is no name of a golden")
        if pure.suffix in (SUFFIX, OTHER_SUFFIX):
            raise UsageError(f"{name!r}: a golden is named without {pure.suffix}")
        ours, other = (self.folder / f"{name}{suffix}" for suffix in (SUFFIX, OTHER_SUFFIX))
        return other if other.is_file() and not ours.is_file() else ours

    def _write(self, packets: Packets, old: Path) -> None:
        """Write a golden as a whole, since two workers may do so at once."""
        path = old.with_suffix(SUFFIX) if old.suffix == OTHER_SUFFIX else old
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make the folder {_shown(path.parent)!r}: {error.strerror or error}") from None
        part = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            packets.write(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        if old != path:
            old.unlink()
        self.settled.add(path)
        self.wrote(path)


def _shown(path: Path) -> str:
    """A path as short as it can be."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
