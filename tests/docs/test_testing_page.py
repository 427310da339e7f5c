"""The newcomer's page works when it is pasted line by line, and prints what it shows."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import plugin_runs
import pytest

ROOT = Path(__file__).parents[2]
FRAME = re.compile(r"^([=_]{3}|[> ] |FAILED |\w+\.py:\d+|[.F]+ +\[)|^\w+ = <|^$")
"""What pytest puts around what tests say, each release in its own way."""


def said(page: str) -> list[str]:
    return [line for line in page.splitlines() if not FRAME.match(line)]


def test_what_is_pasted_prints_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin_runs.at_a_desk(monkeypatch)
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(plugin_runs.WITH))
    spec = importlib.util.spec_from_file_location("pasted", ROOT / "scripts/pasted.py")
    assert spec is not None
    assert spec.loader is not None
    pasted = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pasted)
    for page in pasted.PAGES:
        text = page.read_text(encoding="utf-8")
        assert len(pasted.BLOCK.findall(text)) == text.count("```sh\n") > 5
        shown, printed = (said(one) for one in (text, pasted.fresh(text)))
        assert printed == shown


def test_every_fixture_and_option_is_on_the_page() -> None:
    text = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    plugin = (ROOT / "dsrkit/pytest_plugin.py").read_text(encoding="utf-8")
    fixtures = [part.split("def ")[1].split("(")[0] for part in plugin.split("@pytest.fixture\n")[1:]]
    assert fixtures == ["golden_pcap", "verify_capture", "dsr_scenario", "dsr_link"]
    assert not [name for name in (*fixtures, "--dsrkit-update", "--dsrkit-dir", "dsrkit_dir") if f"`{name}" not in text]
