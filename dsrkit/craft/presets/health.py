"""A mode's usual set-up, with a check of its servers."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dsrkit.craft.options import Options
from dsrkit.craft.preset import preset as usual
from dsrkit.model.names import Mode, Profile
from dsrkit.model.spec import Health, Spec

SECOND: Final = 10**9


def machines(options: Options) -> Mode:
    """The mode whose data path is checked."""
    path: Mode = options.data_path  # type: ignore[assignment]
    return path


def preset(mode: Mode, profile: Profile, options: Options) -> Spec:
    """The usual set-up of the data path's mode, with the check in it.

    Raises: UsageError for options that contradict each other.
    """
    path = options.path if options.check == "http" else None
    check = Health(options.check, options.interval / SECOND, path, options.through)
    return replace(usual(machines(options), profile, options), health=(check,))
