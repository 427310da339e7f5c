"""Exceptions for mistakes of the user; faults of a capture are findings, bugs keep their traceback.

DsrkitError
├── CaptureError        a file cannot be read as a capture at all
├── SpecError           dsr.toml is wrong: unknown key, bad value, missing file
├── UsageError          options that contradict each other
└── MissingDependency   an optional package or program is needed and absent
"""


class DsrkitError(Exception):
    """Base of every error that is the caller's to mend: one line on stderr, exit code 2."""


class CaptureError(DsrkitError):
    """A file is missing, a directory, empty, or in no capture format."""


class SpecError(DsrkitError):
    """The spec file is not valid; the message names the key and the nearest valid one."""


class UsageError(DsrkitError):
    """Arguments that contradict each other or name something unknown."""


class MissingDependency(DsrkitError):
    """An optional package or program is needed for what was asked; the message names it."""
