"""The pytest plugin: fixtures `golden_pcap`, `verify_capture`, `dsr_scenario`, `dsr_link`, and the mark `dsr`.

pytest imports every installed plugin in every run, so nothing is imported here but pytest; fixtures import what they
need when a test asks for them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dsrkit.model.report import Report
    from dsrkit.testing.bench import Bench
    from dsrkit.testing.golden import Goldens
    from dsrkit.testing.link import Device

_PACKAGE = Path(__file__).parent
WROTE = "dsrkit_golden"
"""The property of a test's report that names a golden which the test has written."""
_settled = pytest.StashKey[set[Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dsrkit", "packets of load balancers")
    group.addoption(
        "--dsrkit-update",
        action="store_true",
        help="Write the golden pcaps that are missing or not what is seen; look at them before you commit them.",
    )
    group.addoption("--dsrkit-dir", metavar="DIR", help="The folder of golden pcaps, instead of one beside each test.")
    parser.addini("dsrkit_dir", "The folder of golden pcaps, relative to the rootdir.", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "dsr(mode, profile=None, fault=None, flows=1, seed=0, **options): what the fixture dsr_scenario crafts, as "
        "dsrkit.craft takes it; several marks on a test run it once for each.",
    )
    config.stash[_settled] = set()
    if config.getoption("dsrkit_update"):
        from dsrkit.testing.golden import in_ci

        if in_ci():
            raise pytest.UsageError("--dsrkit-update: no golden is written in CI; write it where people look at it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = [mark for mark in metafunc.definition.own_markers if mark.name == "dsr"]
    if "dsr_scenario" in metafunc.fixturenames and len(marks) > 1:
        marks.reverse()  # decorators are applied from below
        metafunc.parametrize("dsr_scenario", marks, indirect=True)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """The id of a scenario: ``l2dsr-ipvs``."""
    values: tuple[Any, ...] = ()
    if argname == "dsr_scenario" and isinstance(val, pytest.Mark):
        values = (*val.args, *val.kwargs.values())
    elif argname == "dsr_scenario" and isinstance(val, Mapping):
        values = tuple(val.values())
    return "-".join(str(value) for value in values if value is not None) or None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """End the traceback of a user's mistake in the user's line: the message says what is wrong."""
    errors = sys.modules.get("dsrkit.errors")  # what has not been imported raises nothing
    if errors is None or call.excinfo is None or item.config.getoption("fulltrace"):
        return
    if not isinstance(call.excinfo.value, errors.DsrkitError):
        return
    theirs = call.excinfo.tb
    while (at := theirs.tb_next) is not None:
        while at.tb_next is not None and at.tb_frame.f_code.co_filename == contextlib.__file__:
            at = at.tb_next
        if Path(at.tb_frame.f_code.co_filename).is_relative_to(_PACKAGE):
            theirs.tb_next = None
            break
        theirs = at


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the goldens that were written, by whichever worker."""
    reports = [report for several in terminalreporter.stats.values() for report in several]
    written: dict[str, set[str]] = {}
    for report in reports:
        for name, value in getattr(report, "user_properties", ()):
            if name == WROTE:
                written.setdefault(value, set()).add(report.nodeid)
    if not written:
        return
    terminalreporter.section("golden pcaps written")
    for path, tests in sorted(written.items()):
        terminalreporter.write_line(path)
        if len(tests) > 1:
            terminalreporter.write_line(f"  written by {len(tests)} tests: give each its own name", red=True)
    terminalreporter.write_line("look at them (dsrkit inspect FILE) before you commit them")


@pytest.fixture
def golden_pcap(request: pytest.FixtureRequest) -> Goldens:
    """The golden pcaps: ``golden_pcap.check(frames, "name")`` compares frames or a capture with that one."""
    from dsrkit.testing.golden import Goldens

    config = request.config
    folder = request.path.parent / "pcaps"  # wherever pytest is started, and whatever it takes for the rootdir
    if config.getoption("dsrkit_dir"):
        folder = config.invocation_params.dir / config.getoption("dsrkit_dir")
    elif config.getini("dsrkit_dir"):
        folder = config.rootpath / str(config.getini("dsrkit_dir"))
    return Goldens(
        folder,
        bool(config.getoption("dsrkit_update")),
        "pytest --dsrkit-update",
        config.stash[_settled],
        lambda path: request.node.user_properties.append((WROTE, str(path))),
    )


@pytest.fixture
def verify_capture() -> Callable[..., Report]:
    """``verify_capture(files, mode=..., spec=..., allow=[...])``: fails with findings, and where nothing is checked."""
    from dsrkit.testing.verdict import assert_verified

    return assert_verified


@pytest.fixture
def dsr_scenario(request: pytest.FixtureRequest) -> Bench:
    """The crafted scenario that the test's mark `dsr` asks for, or the parameter: a mode, or a table of arguments."""
    from dsrkit.errors import DsrkitError
    from dsrkit.testing.bench import scenario

    asked = getattr(request, "param", None) or request.node.get_closest_marker("dsr")
    args, named = getattr(asked, "args", ()), getattr(asked, "kwargs", {})
    if isinstance(asked, str):
        args = (asked,)
    elif isinstance(asked, Mapping):
        named = asked
    if len(args) > 2 or not (args or "mode" in named):
        pytest.fail('dsr_scenario: which one? Say so with @pytest.mark.dsr(mode="l2dsr")', pytrace=False)
    try:
        return scenario(*args, **named)
    except DsrkitError as error:
        mistake = str(error)
    pytest.fail(f"dsr_scenario: {mistake}", pytrace=False)  # no line of the test has called this


@pytest.fixture
def dsr_link() -> Callable[..., AbstractContextManager[Device]]:
    """``with dsr_link(program) as device: device.exchange(frames)``: a cable to a real program, on Linux as root."""
    from dsrkit.testing.link import running
    from dsrkit.testing.room import why_not

    lacking = why_not()
    if lacking:
        pytest.skip(f"dsr_link: {lacking}")
    return running
