"""The other fixtures in users' test suites: crafted scenarios, verified captures, and what the machine lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import plugin_runs
import pytest
from needs import present

import dsrkit

pytest_plugins = ("pytester",)

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    plugin_runs.at_a_desk(monkeypatch)
    return pytester


def run(suite: pytest.Pytester, text: str, *args: str) -> pytest.RunResult:
    suite.makepyfile(test_suite=text)
    return suite.runpytest_inprocess("-p", "no:cacheprovider", *plugin_runs.WITH, *args)


def test_a_mark_says_which_scenario(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        """
        import pytest

        @pytest.mark.dsr(mode="l3dsr-tunnel", profile="katran", flows=2, seed=3, tunnel="gue", port=6080)
        def test_one(dsr_scenario):
            assert dsr_scenario.mode == "l3dsr-tunnel"
            assert dsr_scenario.taps == ("A", "B", "C", "D")
            assert dsr_scenario.spec.tunnel.type == "gue"
            given, made = dsr_scenario.frames("B.in"), dsr_scenario.frames("B.out")
            assert len(given) == len(made) == 10
            assert all(len(m) > len(g) for g, m in zip(given, made))
            dsr_scenario.expect("B.out").matches(reversed(made))

        @pytest.mark.dsr("l2dsr", fault="DSR301")
        class TestAll:
            def test_mark_of_a_class(self, dsr_scenario):
                assert dsr_scenario.crafted.fault == "DSR301"

            @pytest.mark.dsr("nat")
            def test_the_nearest_counts(self, dsr_scenario):
                assert dsr_scenario.mode == "nat"
        """,
        "--strict-markers",
    )
    result.assert_outcomes(passed=3)


def test_several_marks_and_parameters_are_tests_of_their_own(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        """
        import pytest

        @pytest.mark.dsr("l2dsr")
        @pytest.mark.dsr(mode="nat", profile="ipvs")
        def test_marks(dsr_scenario):
            pass

        @pytest.mark.parametrize("dsr_scenario", ["l2dsr", {"mode": "l2dsr", "fault": "DSR301"}], indirect=True)
        def test_parameters(dsr_scenario):
            assert dsr_scenario.mode == "l2dsr"

        @pytest.mark.parametrize("fault", [
            pytest.param("DSR301", marks=pytest.mark.dsr("l2dsr", fault="DSR301")),
            pytest.param("DSR302", marks=pytest.mark.dsr("l2dsr", fault="DSR302")),
        ])
        def test_marks_of_parameters(dsr_scenario, fault):
            assert dsr_scenario.crafted.fault == fault
        """,
        "-v",
    )
    result.assert_outcomes(passed=6)
    wanted = ["marks[l2dsr]", "marks[nat-ipvs]", "parameters[l2dsr]", "parameters[l2dsr-DSR301]"]
    result.stdout.fnmatch_lines([f"*::test_{name.replace('[', '[[]')} PASSED*" for name in wanted])


def test_without_a_mark_the_test_says_what_it_lacks(suite: pytest.Pytester) -> None:
    result = run(suite, "def test_one(dsr_scenario):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(['dsr_scenario: which one? Say so with @pytest.mark.dsr(mode="l2dsr")'])


def test_a_mistake_is_told_in_a_line_at_the_line_that_makes_it(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        """
        import pytest
        from dsrkit.testing.link import running

        @pytest.mark.dsr("l2dr")
        def test_mark(dsr_scenario):
            pass

        @pytest.mark.dsr(profile="ipvs")
        def test_no_mode(dsr_scenario):
            pass

        @pytest.mark.parametrize("dsr_scenario", [3, ["l2dsr"]], indirect=True)
        def test_parameter(dsr_scenario):
            pass

        def test_file(golden_pcap):
            golden_pcap.check("no.pcap", "it")

        def test_program():
            with running(5):
                pass
        """,
    )
    result.assert_outcomes(failed=2, errors=4)
    result.stdout.fnmatch_lines(["dsr_scenario: mode 'l2dr' is not known (did you mean 'l2dsr'? *"])
    result.stdout.fnmatch_lines(
        ["E  *dsrkit.errors.CaptureError: no.pcap: no such file", "", "test_suite.py:*: CaptureError"]
    )
    result.stdout.fnmatch_lines(["E  *dsrkit.errors.UsageError: 5 is no program: *", "", "test_suite.py:*: UsageError"])
    assert "contextlib.py" not in result.stdout.str()
    assert "raise UsageError" not in result.stdout.str()


def test_an_unmet_expectation_names_fields(suite: pytest.Pytester) -> None:
    result = run(
        suite,
        """
        import pytest

        @pytest.mark.dsr("l2dsr", seed=7)
        def test_one(dsr_scenario):
            frames = dsr_scenario.frames("B.in")  # a balancer that sends back what it gets
            dsr_scenario.expect("B.out").matches(frames[:2])
        """,
    )
    assert plugin_runs.failure(result) == (GOLDEN / "expectation.txt").read_text(encoding="utf-8")


def test_captures_are_verified(suite: pytest.Pytester) -> None:
    dsrkit.craft("l2dsr", flows=2).write_split(suite.path / "good")
    dsrkit.craft("l2dsr", fault="DSR301", seed=7).write(suite.path / "bad.pcapng")
    (suite.path / "idle.pcap").write_bytes((suite.path / "good/A.pcap").read_bytes()[:24])
    result = run(
        suite,
        """
        import pytest

        def test_good(verify_capture):
            report = verify_capture({"B": "good/B.pcap", "C": "good/C.pcap"}, mode="l2dsr")
            assert report.rules.passed
            verify_capture(spec="good/dsr.toml")

        def test_bad(verify_capture):
            verify_capture("bad.pcapng", mode="l2dsr")

        @pytest.mark.parametrize("allow", [
            "DSR301", ["vip-missing-on-real-server"],
            [{"code": "DSR301", "node": "rs1", "reason": "the server is down on purpose"}],
        ])
        def test_allowed(verify_capture, allow):
            report = verify_capture("bad.pcapng", mode="l2dsr", allow=allow)
            assert [note for note in report.notes if note.startswith("allowed: DSR301 at rs1: ")]

        def test_another_node(verify_capture):
            with pytest.raises(AssertionError, match="vip-missing-on-real-server"):
                verify_capture("bad.pcapng", mode="l2dsr", allow=[{"code": "DSR301", "node": "rs2", "reason": "no"}])

        def test_nothing(verify_capture):
            verify_capture("idle.pcap")
        """,
    )
    result.assert_outcomes(passed=5, failed=2)
    first, _, rest = plugin_runs.failure(result).partition("\n  error  ")
    assert first == (
        "AssertionError: verify finds what should not be:\n"
        "FAIL  l2dsr (as given by --mode), profile ipvs: 1 error in the captures\n\nFindings"
    )
    assert rest.startswith("DSR301 vip-missing-on-real-server: at rs1 (203.0.113.21), ")
    assert rest.endswith("AssertionError: nothing was checked: the captures hold no packets\n")


PROBE = """
    import sys
    from pathlib import Path

    def pytest_sessionfinish(session):
        Path("modules.txt").write_text("\\n".join(sys.modules))
"""


def test_collecting_loads_nothing_but_pytest_and_the_standard_library(suite: pytest.Pytester) -> None:
    suite.makeconftest(PROBE)
    suite.makepyfile(
        test_suite="""
        import pytest

        @pytest.mark.dsr("l2dsr")
        @pytest.mark.dsr("nat")
        def test_one(dsr_scenario, golden_pcap, verify_capture, dsr_link):
            pass

        @pytest.mark.parametrize("dsr_scenario", [{"mode": "l2dsr"}], indirect=True)
        def test_two(dsr_scenario):
            pass
        """
    )
    loaded = []
    for plugins in (plugin_runs.WITH, plugin_runs.WITHOUT):
        result = suite.runpytest_subprocess("--co", "-q", "-p", "no:cacheprovider", *plugins)
        result.assert_outcomes()
        assert result.ret == pytest.ExitCode.OK
        loaded.append(set((suite.path / "modules.txt").read_text(encoding="utf-8").split()))
    added = loaded[0] - loaded[1]
    assert {"dsrkit", "dsrkit.pytest_plugin"} <= added
    outside = {name for name in added if name.partition(".")[0] not in {*sys.stdlib_module_names, "pytest", "_pytest"}}
    assert outside == {"dsrkit", "dsrkit.pytest_plugin"}


@pytest.mark.skipif(not plugin_runs.INSTALLED, reason="dsrkit is not installed with its plugin")
def test_an_installed_package_needs_no_word_about_its_plugin(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("--markers", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["@pytest.mark.dsr(mode, profile=None, fault=None, flows=1, seed=0, [*][*]options): *"])


NOBODY = 65534
SETPRIV = shutil.which("setpriv")


@pytest.fixture
def desk_of_nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of a user who is not root, on a machine without programs."""
    plugin_runs.at_a_desk(monkeypatch)
    with tempfile.TemporaryDirectory(prefix="dsrkit-nobody-") as name:
        folder = Path(name)
        (folder / "no-programs").mkdir()
        (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n", encoding="utf-8")
        for path in (folder, folder / "no-programs", folder / "pytest.ini"):
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)
        yield folder


def as_nobody(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run Python without root: as another user, who may only read what is installed in folders of root."""
    env = {**os.environ, "PATH": str(folder / "no-programs"), "HOME": str(folder), "TMPDIR": str(folder)}
    reads = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
    other = [str(SETPRIV), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reads]
    return subprocess.run(
        [*(other if os.geteuid() == 0 else []), sys.executable, *args],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@present(None if SETPRIV or os.geteuid() else "setpriv is not installed")
def test_without_tshark_and_without_root(desk_of_nobody: Path) -> None:
    """All but the cable to a program works for anybody, and with no program at hand; the cable says what it needs."""
    (desk_of_nobody / "test_suite.py").write_text(
        textwrap.dedent(
            """
            import os, shutil
            import pytest

            def test_nobody():
                assert os.geteuid() != 0
                assert shutil.which("tshark") is None

            @pytest.mark.dsr("l3dsr-tunnel")
            def test_all(dsr_scenario, golden_pcap, verify_capture, tmp_path):
                golden_pcap.check(dsr_scenario.frames("B.out"), "out")
                dsr_scenario.crafted.write(tmp_path / "all.pcapng")
                golden_pcap.check(tmp_path / "all.pcapng", "all")
                verify_capture(tmp_path / "all.pcapng")

            def test_link(dsr_link):
                pass
            """
        ),
        encoding="utf-8",
    )
    for args in (["--dsrkit-update"], []):
        done = as_nobody(desk_of_nobody, "-m", "pytest", "-rs", *plugin_runs.WITH, *args)
        assert "2 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
        assert "dsr_link: it needs root" in done.stdout
