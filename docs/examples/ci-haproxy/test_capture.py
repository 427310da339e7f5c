"""HAProxy runs, tcpdump records it, and the recording is checked: what a CI job can do with a real load balancer."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAMS = ("unshare", "ip", "ss", "ethtool", "tcpdump", "haproxy", "curl")

lacking = [name for name in PROGRAMS if shutil.which(name) is None] or ["root"] * (os.geteuid() != 0)
pytestmark = pytest.mark.skipif(bool(lacking), reason=f"needs {', '.join(lacking)}")


def recorded(folder, configuration=HERE / "haproxy.cfg"):
    subprocess.run(["sh", HERE / "record.sh", folder, configuration], check=True, timeout=120)
    return {tap: folder / f"{tap}.pcap" for tap in ("front", "back")}


def test_haproxy(tmp_path, verify_capture):
    report = verify_capture(recorded(tmp_path), mode="l7")
    assert report.mode == "l7"
    assert not report.findings


def test_a_mistake_is_found(tmp_path, verify_capture):
    """HAProxy speaks the PROXY protocol to servers that do not expect it."""
    wrong = tmp_path / "wrong.cfg"
    right = (HERE / "haproxy.cfg").read_text()
    wrong.write_text(re.sub("(server web.*)", r"\1 send-proxy-v2", right))
    with pytest.raises(AssertionError, match="PRX801"):
        verify_capture(recorded(tmp_path, wrong), mode="l7")
