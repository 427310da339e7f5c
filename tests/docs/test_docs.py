"""What the documentation says is checked: commands, outputs, tables, examples, pages, schemas."""

from __future__ import annotations

import doctest
import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import typer.main
import yaml
from typer.testing import CliRunner

import dsrkit
from dsrkit.cli.main import app
from dsrkit.craft.faults import FAULTS
from dsrkit.craft.options import flag, options_of
from dsrkit.diagnose.entry import AREAS
from dsrkit.diagnose.registry import ENTRIES
from dsrkit.lab.faults import FAULTS as MISCONFIGURED
from dsrkit.model.names import MODES as CRAFTED
from dsrkit.model.schema import PUBLISHED, schema_text

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "pcaps/README.md", *sorted(DOCS.rglob("*.md"))]
MODES = ("nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp")


def cli() -> Any:
    command = typer.main.get_command(app)
    assert hasattr(command, "commands"), "dsrkit is expected to have subcommands"
    return command


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def shown_commands() -> list[tuple[str, str]]:
    """(page, command line) of each `$ dsrkit ...` in a code block and each `dsrkit ...` in running text."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        joined = text.replace("\\\n", " ")
        found += [(name_of(page), line) for line in re.findall(r"^\s*\$ (dsrkit .+)$", joined, re.MULTILINE)]
        found += [(name_of(page), line) for line in re.findall(r"`(dsrkit [a-z-]+[^`\n]*)`", joined)]
    return sorted(set(found))


def words_of(line: str) -> list[str]:
    """The arguments of a shown command, without pipes, redirections and comments."""
    return shlex.split(line.split("|")[0].split(">")[0], comments=True)[1:]


def flags_of(command: Any) -> set[str]:
    return {"--help"} | {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_shown_command_exists(page: str, line: str) -> None:
    command, flags = cli(), set[str]()
    wrong = []
    for word in words_of(line):
        commands = getattr(command, "commands", {})
        if word in commands or (commands and word == "MODE"):  # which stands for any of them
            command = commands.get(word) or next(iter(commands.values()))
            flags |= flags_of(command)
        elif word.startswith("-") and word != "-":
            wrong += [word] if word.split("=")[0] not in flags else []
        elif commands:
            pytest.fail(f"{page} shows `{line}`, but there is no command {word!r}")
    assert not wrong, f"{page} shows `{line}`"


@pytest.mark.parametrize(
    ("page", "line"),
    [one for one in shown_commands() if one[1].startswith("dsrkit craft ") and "MODE" not in one[1]],
)
def test_shown_craft_runs(page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = words_of(line)
    if "--send" in words:
        pytest.skip("sends packets")
    monkeypatch.chdir(tmp_path)
    if "--spec" in words:
        dsrkit.craft(words[1]).write_split(Path(words[words.index("--spec") + 1]).parent)
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0, f"{page} shows `{line}`: {run.output}"


def test_something_is_shown() -> None:
    assert {page for page, _ in shown_commands()} >= {"README.md", "docs/quickstart.md", "docs/verify.md"}


def test_every_command_is_documented() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    missing = [name for name, command in cli().commands.items() if not command.hidden and f"dsrkit {name}" not in text]
    assert not missing


@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_every_option_is_documented(command: str) -> None:
    text = (DOCS / f"{command}.md").read_text(encoding="utf-8")
    shown = [p.opts for p in cli().commands[command].params if p.param_type_name == "option"]
    missing = [names for names in shown if not any(f"`{name}" in text for name in names) and names != ["--help"]]
    assert not missing


def test_every_output_of_craft_is_documented() -> None:
    text = (DOCS / "craft.md").read_text(encoding="utf-8")
    own = {flag(name) for mode in CRAFTED for name, _, _ in options_of(mode)}
    (nat,) = (command for name, command in cli().commands["craft"].commands.items() if name == "nat")
    common = [p.opts for p in nat.params if not own & set(p.opts) and p.opts != ["--help"]]
    missing = [names for names in common if not any(f"`{name}" in text for name in names)]
    assert not missing


@pytest.mark.parametrize("mode", CRAFTED)
def test_every_option_of_a_mode_is_on_its_page(mode: str) -> None:
    text = "".join((DOCS / page).read_text(encoding="utf-8") for page in ("craft.md", f"modes/{mode}.md"))
    missing = [flag(name) for name, _, _ in options_of(mode) if f"| `{flag(name)}" not in text]
    assert not missing


@pytest.mark.parametrize("mode", CRAFTED)
def test_every_mode_shows_its_ladder(mode: str) -> None:
    text = (DOCS / "modes" / f"{mode}.md").read_text(encoding="utf-8")
    ladders = [match["commands"] for match in script("outputs").BLOCK.finditer(text)]
    assert any(commands.startswith(f"dsrkit craft {mode}") for commands in ladders)
    assert f"{mode}, profile " in text


def test_every_fault_is_listed() -> None:
    text = (DOCS / "faults.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([A-Z]{3}\d{3})` \|", text, re.MULTILINE) == list(FAULTS)


@pytest.mark.parametrize("area", AREAS)
def test_every_code_has_its_place(area: str) -> None:
    text = (DOCS / f"codes/{area.lower()}.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [code for code in ENTRIES if code.startswith(area)]
    assert f"](codes/{area.lower()}.md)" in (DOCS / "faults.md").read_text(encoding="utf-8")


def test_examples_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testfile(str(DOCS / "craft.md"), module_relative=False, encoding="utf-8")
    assert outcome.attempted > 5
    assert outcome.failed == 0


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / f"scripts/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_shown_outputs_are_what_the_commands_print() -> None:
    changed = script("outputs").stale()
    assert not changed, f"run `make docs-output`: {', '.join(name_of(page) for page in changed)}"


def test_shown_tables_are_those_of_the_package() -> None:
    changed = script("tables").stale()
    assert not changed, f"run `make docs-tables`: {', '.join(name_of(page) for page in changed)}"


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_shows_its_cells(mode: str) -> None:
    text = (DOCS / "modes" / f"{mode}.md").read_text(encoding="utf-8")
    cells = [match["what"] for match in script("tables").BLOCK.finditer(text) if match["kind"] == "cells"]
    assert cells == [mode]
    assert f"`{mode}.real-server.answered`" in text


def test_readme_shows_an_output() -> None:
    assert script("outputs").BLOCK.search((ROOT / "README.md").read_text(encoding="utf-8"))


def nav_pages(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    return [page for value in values for page in nav_pages(value)]


def test_navigation_is_complete() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = nav_pages(config["nav"])
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
    assert config["theme"]["font"] is False, "the build and the pages fetch nothing from the network"


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_is_named_alike_everywhere(mode: str) -> None:
    assert (DOCS / "modes" / f"{mode}.md").exists()
    assert (ROOT / "pcaps" / mode).is_dir()
    assert (Path(dsrkit.__file__).parent / "tables" / f"{mode.replace('-', '_')}.py").exists()
    assert f"`{mode}`" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_schema_is_the_one_of_the_package(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert text == schema_text(PUBLISHED[name]), "run `python -m dsrkit.model.schema docs`"


def test_every_published_schema_belongs_to_the_package() -> None:
    assert {path.name for path in DOCS.rglob("*.schema.json")} == set(PUBLISHED)


def code_blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def test_spec_example_is_valid() -> None:
    (text,) = code_blocks("spec.md", "toml")
    spec = dsrkit.Spec.parse(text)
    assert spec.mode == "l3dsr-dscp"
    jsonschema.validate(tomllib.loads(text), PUBLISHED["spec.schema.json"])


def test_report_example_is_valid() -> None:
    (text,) = code_blocks("report.md", "json")
    jsonschema.validate(json.loads(text), PUBLISHED["report.schema.json"])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_to_files_of_the_checkout(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"


def outputs() -> list[str]:
    blocks = script("outputs").BLOCK
    return [match["commands"] for page in PAGES for match in blocks.finditer(page.read_text(encoding="utf-8"))]


def test_what_needs_root_or_looks_at_the_machine_is_not_run_here() -> None:
    ran = [words_of(command)[0] for commands in outputs() for command in commands.split(" && ")]
    assert {"setup", "craft", "verify"} <= set(ran)
    assert not {"lab", "doctor"} & set(ran)


def shown_labs() -> list[tuple[str, list[str]]]:
    """The labs whose output the pages show: as they are not run here, at least their words are those of the program."""
    texts = (page.read_text(encoding="utf-8") for page in PAGES)
    blocks = (block for text in texts for block in re.findall(r"```console\n(\$ dsrkit lab .*?)```", text, re.DOTALL))
    shown = (one.strip().splitlines() for block in blocks for one in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:])
    return [(lines[0], lines[1:]) for lines in shown if lines[1:]]


@pytest.mark.parametrize(("command", "lines"), shown_labs(), ids=[command for command, _ in shown_labs()])
def test_shown_labs_say_what_labs_say(command: str, lines: list[str]) -> None:
    fault = re.search(r"--fault (\w+)", command)
    if fault is not None:
        real = MISCONFIGURED[fault[1]]
        assert f"fault {fault[1]}: {real.wrong}" in lines
        assert f"expect: clients: {real.symptom}; captures: {real.picture}" in lines
    (verdict,) = (line for line in lines if line.startswith(("PASS", "FAIL")))
    assert re.fullmatch(r"(PASS|FAIL)  [\w-]+ \([\w ]+\): [\w ,]+ in the captures", verdict)
    said = re.fullmatch(
        r"lab: clients were served (\d+) of (\d+) requests, and verify finds (.+) \(exit ([01])\); "
        r"(recording in [\w-]+|captures not kept \(-o DIR keeps them\))",
        lines[-1],
    )
    assert said is not None, lines[-1]
    assert (said[3] == "nothing") == ("Findings" not in lines)
    clean = not any(line.startswith(("  error  ", "  warning  ")) for line in lines)
    assert (said[4] == "0", verdict.startswith("PASS")) == (said[1] == said[2] and clean, clean)
    assert f"served {said[1]} of {said[2]} requests; " in "\n".join(lines)
    assert not any("Errno" in line for line in lines)


@pytest.mark.parametrize(
    "line", sorted({line for _, line in shown_commands() if re.match("dsrkit setup (?!MODE).*--for ", line)})
)
def test_shown_setup_runs(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = words_of(line)
    monkeypatch.chdir(tmp_path)
    if "--spec" in words:
        dsrkit.craft("l2dsr").write_split(tmp_path)
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0, f"`{line}`: {run.output}"


@pytest.mark.parametrize("mode", CRAFTED)
def test_every_mode_says_how_it_is_built(mode: str) -> None:
    text = (DOCS / "modes" / f"{mode}.md").read_text(encoding="utf-8")
    part = text.split("\n## Build it\n", 1)[1].split("\n## ", 1)[0]
    assert f"$ dsrkit lab {mode} " in part
    assert re.search(rf"^\$ dsrkit setup {mode} .*--for ", part, re.MULTILINE)
    assert f"](modes/{mode}.md#build-it)" in (DOCS / "lab.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["setup", "lab"])
def test_every_own_option_is_documented(command: str) -> None:
    text = (DOCS / f"{command}.md").read_text(encoding="utf-8")
    crafted = {flag(name) for mode in CRAFTED for name, _, _ in options_of(mode)}
    elsewhere = {"--help", "--quiet", "--no-color"}  # as in verify
    shown = [p.opts for p in cli().commands[command].params if p.param_type_name == "option"]
    own = [names for names in shown if not (crafted | elsewhere) & set(names)]
    missing = [names for names in own if not any(f"`{name}" in text for name in names)]
    assert not missing
