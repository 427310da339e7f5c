"""The report for a terminal: the verdict first, then what it rests on, then what is wrong and how to mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from dsrkit.model.dscp import dscp_text
from dsrkit.model.names import REWRITES
from dsrkit.model.report import CellVerdict, Finding, Journey, Report
from dsrkit.report.blocks import Table, Text
from dsrkit.report.escape import escape, escape_lines
from dsrkit.report.page import Page, bullet, grid, join, maybe, number, plain_table
from dsrkit.report.path import show_path
from dsrkit.report.sections import show_sections

_MODE_FROM: Final = {
    "spec": "from the spec",
    "option": "as given by --mode",
    "inferred": "inferred from the packets",
    "undetermined": "undetermined",
}
_SEVERITY_STYLE: Final = {"error": "bold red", "warning": "bold yellow", "info": "bold cyan"}
_CELL_STYLE: Final = {"fail": "bold red", "pass": "green", "not_observable": "dim"}
_MOST_ADDRESSES: Final = 8
_VERDICT_STYLE: Final = {0: ("PASS", "bold green"), 1: ("FAIL", "bold red"), 2: ("NOTHING CHECKED", "bold yellow")}


def render(
    report: Report,
    *,
    color: bool = False,
    width: int | None = None,
    verbose: bool = False,
    quiet: bool = False,
    exits: bool = True,
) -> str:
    """The whole report as text; `quiet` keeps the verdict and the findings, `verbose` adds every cell.

    `exits` says that a command ends with the report's exit code; else the verdict is one on captures, among others.

    Absent: without a `width` no line is wrapped, so that a pipe can be searched line by line.
    """
    page = Page()
    page.add(_verdict(report, exits))
    for missing in report.incomplete:
        page.add(bullet(escape(missing)))
    if not quiet:
        _known(page, report)
        show_path(page, report)
        _taps(page, report)
        _nodes(page, report, verbose)
        _hops(page, report, verbose)
        _presence(page, report)
        show_sections(page, report)
    _findings(page, report)
    if not quiet:
        _proof(page, report, verbose)
        _traffic(page, report)
        rules = report.rules
        page.add(
            Text(f"{rules.passed} pass, {rules.failed} fail, {rules.not_observable} not observable", "bold"), gap=1
        )
    return page.text(color=color, width=width)


def nothing_checked_reason(report: Report) -> str:
    """Why no cell could be judged, or not all of the input, in one line."""
    if report.incomplete:
        return escape("; ".join(report.incomplete))
    reasons = Counter(cell.reason for cell in report.cells if cell.reason)
    if reasons:
        return escape(reasons.most_common(1)[0][0])
    if report.taps and not any(tap.packets for tap in report.taps):
        return "the captures hold no packets"
    if report.mode is None:
        return "the packets do not show a mode of load balancing, nor the same packet at two places"
    vip = f" ({', '.join(escape(v) for v in report.service.vip)})" if report.service.vip else ""
    return f"no packet of the service{vip} exercises a rule of {escape(report.mode)}"


def _verdict(report: Report, exits: bool) -> Text:
    word, style = _VERDICT_STYLE[report.exit_code]
    new = [finding for finding in report.findings if not finding.known]
    if report.exit_code == 0 and any(finding.severity == "error" for finding in new):
        word, style = _VERDICT_STYLE[1]  # --fail-on decides about the exit code, not about what is true
    if report.exit_code == 2 and report.incomplete:
        word = "INCOMPLETE"
    line = Text.assemble((word, style), "  ")
    if report.mode is None:
        line.append("mode undetermined", "bold")
        if report.exit_code == 0:
            judged = join((*report.mechanisms, "routers", "links"))
            line.append(f", only {' and '.join(judged.rsplit(', ', 1))} could be judged")
    else:
        line.append(escape(report.mode), "bold")
        line.append(f" ({_MODE_FROM[report.mode_from]})")
    if report.profile is not None:
        fits = "profile" if report.findings else "headers fit profile"
        line.append(", any profile" if report.profile == "any" else f", {fits} {escape(report.profile)}")
    count = Counter(finding.severity for finding in new)
    found = ", ".join(number(count[word], word) for word in ("error", "warning", "info") if count[word])
    known = len(report.findings) - len(new)
    line.append(f": {found or ('no new findings' if known else 'no findings')}{f', {known} known' if known else ''}")
    if not exits:
        return line.append(" in the captures")
    below = report.exit_code == 0 and new and report.fail_on != "never"
    line.append(f" ({f'none at or above {report.fail_on}; ' if below else ''}exit {report.exit_code})")
    return line


def _known(page: Page, report: Report) -> None:
    facts: list[str] = []
    service = report.service
    if service.vip:
        facts.append(f"VIP {join(service.vip)}" + (f", ports {join(service.ports)}" if service.ports else ""))
    if service.tunnel:
        facts.append(
            "tunnel "
            + ", ".join(f"{escape(str(k))} {escape(str(v))}" for k, v in service.tunnel.items() if v is not None)
        )
    facts += _tags(service.dscp)
    others = [mechanism for mechanism in report.mechanisms if mechanism != report.mode]
    if others:
        facts.append(f"also seen: {join(others)}")
    facts += [escape(note) for note in report.notes]
    if facts:
        page.heading("What is known, and from what")
        for fact in facts:
            page.add(bullet(fact))


def _tags(dscp: Mapping[Any, Any], where: str = "") -> list[str]:
    """What each tag stands for, common tags and those of single nodes."""
    facts = []
    for key, value in sorted(dscp.items(), key=lambda item: (isinstance(item[1], Mapping), str(item[0]))):
        if isinstance(value, Mapping):
            facts += _tags(value, f" at {escape(str(key))}")
        else:
            tag = dscp_text(int(key)) if str(key).isdecimal() else escape(str(key))
            facts.append(f"DSCP {tag} stands for {escape(str(value))}{where}")
    return facts


def _taps(page: Page, report: Report) -> None:
    if not report.taps:
        return
    # one folder for all is said once; captures of one file are told apart by their interfaces
    folders = {tap.file.rpartition("/")[0] for tap in report.taps}
    folder = next(iter(folders)) + "/" if len(folders) == 1 and "" not in folders else ""
    page.heading(f"Taps (files in {escape(folder)})" if folder else "Taps")
    interfaces = any(tap.interface is not None for tap in report.taps)
    names = ("tap", "file", *(["interface"] if interfaces else []), "at node", "link", "packets", "octets")
    table = plain_table(*names, right=("packets", "octets"), whole=("link",))
    for tap in report.taps:
        table.add_row(
            Text(escape(tap.name), "cyan"),
            escape(tap.file.removeprefix(folder)),
            *([maybe(tap.interface)] if interfaces else []),
            maybe(tap.node),
            maybe(tap.link),
            f"{tap.packets:,}",
            f"{tap.octets:,}",
        )
    page.add(table, indent=2)


def _nodes(page: Page, report: Report, verbose: bool) -> None:
    """The nodes with their addresses; `verbose`: however many."""
    if not report.nodes:
        return
    page.heading("Nodes")
    table = plain_table("node", "role", "ip", "mac")
    for node in report.nodes:
        ip, mac = (join(all_ if verbose else _first(all_)) or "-" for all_ in (node.ip, node.mac))
        table.add_row(Text(escape(node.name), "bold"), escape(node.role), ip, mac)
    page.add(table, indent=2)


def _first(addresses: Sequence[str]) -> Sequence[str]:
    """Some of many addresses."""
    if len(addresses) <= _MOST_ADDRESSES:
        return addresses
    return [*addresses[:_MOST_ADDRESSES], f"and {len(addresses) - _MOST_ADDRESSES} more (--verbose)"]


def _hops(page: Page, report: Report, verbose: bool) -> None:
    """The pairs of points between which something was judged; `verbose` adds the pairs that were only counted."""
    journeys: dict[tuple[str, str], list[Journey]] = {}
    cells: dict[tuple[str, str], list[CellVerdict]] = {}
    for journey in report.journeys:
        journeys.setdefault((journey.hop, journey.direction), []).append(journey)
    for cell in report.cells:
        if not _is_place(cell.hop):
            cells.setdefault((cell.hop, cell.direction), []).append(cell)
    hops = [hop for hop in dict.fromkeys((*journeys, *cells)) if verbose or hop in cells]
    if hops:
        blind = any(cell.verdict == "not_observable" for hop in hops for cell in cells.get(hop, ()))
        numbers = ("pass", "fail", *(["not obs."] if blind else []))
        page.heading("Hops")
        table = plain_table(
            "hop", "direction", "paired", "unpaired", *numbers, right=numbers, whole=("hop", "direction", "unpaired")
        )
        for hop in hops:
            verdicts = Counter(cell.verdict for cell in cells.get(hop, ()))
            failed = verdicts["fail"]
            table.add_row(
                Text(_hop(hop[0]), "bold"),
                hop[1],
                _per_protocol(journeys.get(hop, ()), "paired"),
                _per_protocol(journeys.get(hop, ()), "unpaired"),
                str(verdicts["pass"]),
                Text(str(failed), "bold red") if failed else "0",
                *([str(verdicts["not_observable"])] if blind else []),
            )
        page.add(table, indent=2)
    for hop in hops:
        for cell in cells.get(hop, ()):
            if cell.verdict == "fail" or verbose:
                page.add(_cell_line(cell), indent=2)
    hidden = len(journeys.keys() - set(hops))
    if hidden:
        page.add(Text(f"{number(hidden, 'pair')} of points further apart, counted only: --verbose", "dim"), indent=2)


def _is_place(hop: str) -> bool:
    """Whether a cell was judged at one place (a machine, a tap, all taps) and not between two points."""
    return hop.endswith("→") or "→" not in hop


def _hop(hop: str) -> str:
    """A hop or place as it is shown; an end at which no tap saw the packet is named as such."""
    if hop.startswith("→"):
        return f"(no tap){escape(hop)}"
    return f"behind {escape(hop[:-1])}" if hop.endswith("→") else escape(hop)


def _presence(page: Page, report: Report) -> None:
    """Cells about packets being there at all, with the places where each was judged and how often."""
    places: dict[tuple[str, str, str | None], list[CellVerdict]] = {}
    for cell in report.cells:
        if _is_place(cell.hop):
            places.setdefault((cell.cell, cell.verdict, cell.reason), []).append(cell)
    if not places:
        return
    page.heading("Presence")
    known = [name for items in (report.taps, report.nodes) for name in (item.name for item in items)]
    table = plain_table("cell", "verdict", "where, and how often", whole=("cell", "verdict"))
    for (name, verdict, reason), cells in places.items():
        cells.sort(key=lambda cell: known.index(cell.hop) if cell.hop in known else len(known))
        where = ", ".join(f"{_hop(cell.hop)} {_counts(cell)}".rstrip() for cell in cells)
        table.add_row(
            escape(name),
            Text(verdict.replace("_", " "), _CELL_STYLE[verdict]),
            where + (f": {escape(reason)}" if reason else ""),
        )
    page.add(table, indent=2)


def _counts(cell: CellVerdict) -> str:
    if cell.verdict == "fail":
        return f"{cell.failed:,} of {cell.checked:,}"
    return f"{cell.checked:,}" if cell.verdict == "pass" else ""


def _per_protocol(journeys: Iterable[Journey], which: str) -> str:
    counts = {journey.protocol: journey.paired if which == "paired" else journey.unpaired for journey in journeys}
    if not counts:
        return "-"
    return ", ".join(f"{escape(protocol)} {count:,}" for protocol, count in counts.items() if count) or "0"


def _cell_line(cell: CellVerdict) -> Text:
    line = Text.assemble(
        (cell.verdict.replace("_", " "), _CELL_STYLE[cell.verdict]),
        f"  {escape(cell.cell)} at {_hop(cell.hop)} ({cell.direction})",
    )
    if cell.verdict != "not_observable":
        line.append(f": {_counts(cell)}" + (" checked" if cell.verdict == "pass" else ""))
    if cell.reason:
        line.append(f": {escape(cell.reason)}")
    return line


def _findings(page: Page, report: Report) -> None:
    hops: dict[str, list[CellVerdict]] = {}
    for cell in report.cells:
        if cell.verdict == "fail":
            hops.setdefault(cell.cell, []).append(cell)
    addresses = {node.name: node.ip or node.mac for node in report.nodes}
    for index, finding in enumerate(report.findings):
        if index == 0:
            page.heading("Findings")
        else:
            page.add(Text())
        page.add(_finding_head(finding, addresses), indent=2)
        for line in escape_lines(finding.message):
            page.add(Text(line), indent=4)
        page.add(_evidence(finding, hops), indent=4)


def _finding_head(finding: Finding, addresses: Mapping[str, Sequence[str]]) -> Text:
    """Severity, what, who: a name says more than a code only where it is not made from it."""
    named = finding.name not in (finding.code, finding.code.replace(".", "-"))
    line = Text.assemble(
        (finding.severity, _SEVERITY_STYLE[finding.severity]),
        "  ",
        (escape(finding.code), "bold"),
        f" {escape(finding.name)}" if named else "",
    )
    where = []
    if finding.nodes:
        where.append("at " + ", ".join(_with_address(name, addresses.get(name, ())) for name in finding.nodes))
    where.append(number(finding.count, "time"))
    line.append(": " + ", ".join(where))
    if finding.known:
        line.append(" (known: in the baseline)", "dim")
    return line


def _with_address(name: str, addresses: Sequence[str]) -> str:
    if not addresses:
        return escape(name)
    return f"{escape(name)} ({escape(addresses[0])}{', …' if len(addresses) > 1 else ''})"


def _evidence(finding: Finding, failed: Mapping[str, Sequence[CellVerdict]]) -> Table:
    """What the message does not say yet, and where to look."""
    rows = grid(gap=2, style="dim")
    said = finding.message
    values = [value for value in (finding.expected, finding.actual) if value is not None]
    field = [escape(finding.field)] if finding.field is not None and finding.field not in said else []
    if not all(value in said for value in values):
        named = [escape(finding.field)] if finding.field is not None else []
        field = [*named, f"expected {maybe(finding.expected)}, actual {maybe(finding.actual)}"]
    if field:
        rows.add_row("field" if finding.field is not None else "seen", ": ".join(field))
    where = failed.get(finding.code) or [cell for symptom in finding.symptoms for cell in failed.get(symptom, ())]
    if len(where) > 1 or any(cell.hop not in said for cell in where):
        rows.add_row("where", ", ".join(f"{_hop(cell.hop)} {_counts(cell)}" for cell in where))
    if not where and finding.tap is not None and finding.tap not in said:
        rows.add_row("tap", escape(finding.tap))
    frames: dict[str, list[int]] = {}
    for frame in finding.frames:
        frames.setdefault(frame.file, []).append(frame.frame)
    for file, numbers in frames.items():
        rows.add_row("frames", f"{escape(file)}: {', '.join(map(str, sorted(numbers)))}")
    if finding.filter is not None:
        # numbers of frames mean something in one file only
        one = len(frames) > 1 and finding.filter.startswith("frame.number")
        file = f"   in {escape(finding.frames[0].file)}" if one else ""
        rows.add_row("filter", Text.assemble((escape(finding.filter), "cyan"), (file, "dim")))
    if len(finding.candidates) > 1:
        rows.add_row("could be", f"{join(finding.candidates)} (likeliest first)")
    symptoms = [symptom for symptom in finding.symptoms if symptom != finding.code]
    if symptoms:
        rows.add_row("explains", join(symptoms))
    for code, why in finding.ruled_out.items():
        rows.add_row(f"not {escape(code)}", "\n".join(escape_lines(why)))
    if finding.settle is not None:
        rows.add_row("to settle", "\n".join(escape_lines(finding.settle)))
    if finding.fix is not None:
        rows.add_row("fix", Text("\n".join(escape_lines(finding.fix)), "green"))
    return rows


def _proof(page: Page, report: Report, verbose: bool) -> None:
    """What was shown to hold and what could not be looked at: a report without findings must say both."""
    rules = report.rules
    page.add(Text())
    if report.exit_code == 2 and not report.incomplete:
        page.add(Text(f"Nothing could be checked: {nothing_checked_reason(report)}."))
        if report.mode is None and any(tap.packets for tap in report.taps):
            page.add(Text("A tap on the other side of the load balancer may tell, or --mode and --vip, or a --spec."))
    elif not report.findings:
        page.add(Text("No findings."))
    held = [cell for cell in rules.detail if cell.verdict == "pass"]
    if held:
        hops = dict.fromkeys(f"{_hop(cell.hop)} ({cell.direction})" for cell in held if not _is_place(cell.hop))
        present = sum(_is_place(cell.hop) for cell in held)
        at = [f"{number(len(held) - present, 'cell')} at {number(len(hops), 'hop')}"] if hops else []
        at += [f"{number(present, 'presence cell')}"] if present else []
        line = f"Proven: {' and '.join(at)} held, in {number(sum(cell.checked for cell in held), 'comparison')}"
        page.add(Text(line + (f": {', '.join(hops)}." if verbose and hops else ".")))
    if rules.not_observable:
        reasons = Counter(
            cell.reason or "no packet exercised it" for cell in rules.detail if cell.verdict == "not_observable"
        )
        page.add(Text("Not proven:"))
        for reason, count in reasons.most_common():
            page.add(bullet(f"{number(count, 'cell')}: {escape(reason)}"))


def _traffic(page: Page, report: Report) -> None:
    traffic = report.traffic
    if not traffic.request_octets + traffic.reply_octets:
        return
    line = f"Traffic: requests {traffic.request_octets:,} octets, replies {traffic.reply_octets:,} octets"
    if traffic.bypassed_lb is not None:
        line += f"; {traffic.bypassed_lb:.1%} bypassed the load balancer ({traffic.lb_octets:,} octets crossed it)"
    elif report.mode in REWRITES:  # elsewhere all of it crosses a load balancer, or there is none
        line += "; what share bypassed the load balancer cannot be told from these taps"
    page.add(Text(line), gap=1)
