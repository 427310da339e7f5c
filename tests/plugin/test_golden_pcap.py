"""`golden_pcap` in users' test suites: what fails, what is written, and what a failure looks like."""

from __future__ import annotations

import os
from pathlib import Path

import plugin_runs
import pytest

import dsrkit

pytest_plugins = ("pytester",)

GOLDEN = Path(__file__).with_name("golden")
SUITE = """
    import os
    import pytest

    def changed(frames, at, octets, which=(0, 3)):
        return [f[:at] + octets + f[at + len(octets):] if i in which else f for i, f in enumerate(frames)]

    @pytest.mark.dsr(mode="l2dsr", profile="ipvs", seed=7)
    def test_out(dsr_scenario, golden_pcap):
        frames = dsr_scenario.frames("B.out")
        if "TTL" in os.environ:
            frames = changed(frames, 22, bytes([int(os.environ["TTL"])]))
        if "LOSE" in os.environ:
            del frames[1]
        golden_pcap.check(frames, "l2dsr/out", mode="l2dsr")
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    plugin_runs.at_a_desk(monkeypatch)
    pytester.makepyfile(test_suite=SUITE)
    return pytester


def run(suite: pytest.Pytester, *args: str) -> pytest.RunResult:
    return suite.runpytest_inprocess("-p", "no:cacheprovider", *plugin_runs.WITH, *args)


def test_a_missing_golden_fails_and_writes_nothing(suite: pytest.Pytester) -> None:
    result = run(suite)
    result.assert_outcomes(failed=1)
    assert plugin_runs.failure(result) == (
        "AssertionError: there is no golden 'l2dsr/out' yet (pcaps/l2dsr/out.pcapng): write it with "
        "pytest --dsrkit-update, look at it, and commit it\n"
    )
    assert not (suite.path / "pcaps").exists()


def test_update_writes_a_capture_that_then_passes(suite: pytest.Pytester) -> None:
    result = run(suite, "--dsrkit-update")
    result.assert_outcomes(passed=1)
    written = suite.path / "pcaps/l2dsr/out.pcapng"
    result.stdout.fnmatch_lines(["*golden pcaps written*", str(written), "look at them (dsrkit inspect FILE)*"])
    assert sum(len(window.rec) for window in dsrkit.read(written).windows()) == 5
    assert [path.name for path in written.parent.iterdir()] == ["out.pcapng"]
    again = run(suite)
    again.assert_outcomes(passed=1)
    assert "golden pcaps written" not in again.stdout.str()


def test_update_leaves_what_is_right_alone(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    run(suite, "--dsrkit-update")
    written = suite.path / "pcaps/l2dsr/out.pcapng"
    os.utime(written, ns=(0, 0))
    result = run(suite, "--dsrkit-update")
    assert "golden pcaps written" not in result.stdout.str()
    assert written.stat().st_mtime_ns == 0
    monkeypatch.setenv("TTL", "9")
    run(suite, "--dsrkit-update").assert_outcomes(passed=1)
    assert written.stat().st_mtime_ns > 0
    run(suite).assert_outcomes(passed=1)


@pytest.mark.parametrize("variable", plugin_runs.CI)
def test_nothing_is_written_in_ci(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    monkeypatch.setenv(variable, "true")
    result = run(suite, "--dsrkit-update")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --dsrkit-update: no golden is written in CI*"])
    assert not (suite.path / "pcaps").exists()


def test_ci_compares_as_a_desk_does(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    run(suite, "--dsrkit-update")
    monkeypatch.setenv("CI", "true")
    run(suite).assert_outcomes(passed=1)
    monkeypatch.setenv("TTL", "9")
    run(suite).assert_outcomes(failed=1)


@pytest.mark.parametrize("name", ["one-field", "lost-frame"])
def test_what_a_failure_looks_like(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    run(suite, "--dsrkit-update")
    monkeypatch.setenv(*{"one-field": ("TTL", "9"), "lost-frame": ("LOSE", "1")}[name])
    result = run(suite)
    result.assert_outcomes(failed=1)
    assert plugin_runs.failure(result) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert "dsrkit/testing" not in result.stdout.str()  # the traceback ends in the user's line


def test_goldens_lie_beside_their_tests_wherever_pytest_is_started(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = suite.mkpydir("deeper")
    (suite.path / "test_suite.py").rename(folder / "test_suite.py")
    run(suite, "--dsrkit-update").assert_outcomes(passed=1)
    assert (folder / "pcaps/l2dsr/out.pcapng").is_file()
    run(suite, "deeper").assert_outcomes(passed=1)
    monkeypatch.chdir(folder)
    run(suite, "test_suite.py").assert_outcomes(passed=1)


@pytest.mark.parametrize("where", ["option", "ini"])
def test_the_folder_can_be_chosen(suite: pytest.Pytester, where: str) -> None:
    if where == "ini":
        suite.makeini("[pytest]\ndsrkit_dir = here/and/there\n")
        run(suite, "--dsrkit-update").assert_outcomes(passed=1)
        run(suite).assert_outcomes(passed=1)
    else:
        run(suite, "--dsrkit-update", "--dsrkit-dir", "here/and/there").assert_outcomes(passed=1)
        run(suite, "--dsrkit-dir", "here/and/there").assert_outcomes(passed=1)
        run(suite).assert_outcomes(failed=1)
    assert (suite.path / "here/and/there/l2dsr/out.pcapng").is_file()


def test_two_tests_cannot_write_different_goldens_of_one_name(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_suite="""
        import dsrkit, pytest

        @pytest.mark.parametrize("mode", ["l2dsr", "nat"])
        def test_one(mode, golden_pcap):
            golden_pcap.check(dsrkit.craft(mode)["B"], "same")
        """
    )
    result = run(suite, "--dsrkit-update")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E   *another check of this run has this golden: give each its own name"])
    run(suite, "--dsrkit-update").assert_outcomes(passed=1, failed=1)  # nor in turns


def test_workers_write_and_compare(suite: pytest.Pytester) -> None:
    """Under xdist, in processes of their own; the written goldens are named once, by the first process."""
    suite.makepyfile(
        test_suite="""
        import dsrkit, pytest

        @pytest.mark.parametrize("mode", ["l2dsr", "nat", "fullnat"])
        def test_one(mode, golden_pcap):
            golden_pcap.check(dsrkit.craft(mode)["B"], f"{mode}/b")
        """
    )

    def work(*args: str) -> pytest.RunResult:
        return suite.runpytest_subprocess("-p", "no:cacheprovider", "-n", "2", *plugin_runs.WITH, *args)

    result = work("--dsrkit-update")
    result.assert_outcomes(passed=3)
    files = [suite.path / "pcaps" / mode / "b.pcapng" for mode in ("fullnat", "l2dsr", "nat")]
    result.stdout.fnmatch_lines(["*golden pcaps written*", *map(str, files), "look at them*"], consecutive=True)
    work().assert_outcomes(passed=3)


def test_a_golden_of_several_workers_is_pointed_out(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_suite="""
        import pytest

        @pytest.mark.parametrize("worker", ["gw0", "gw1"])
        def test_one(worker, golden_pcap):
            golden_pcap.wrote("same.pcapng")
        """
    )
    result = run(suite)
    result.stdout.fnmatch_lines(["same.pcapng", "*written by 2 tests: give each its own name"], consecutive=True)
