"""Every example of the documentation runs, and prints what its page shows.

A comment ``<!-- directory: NAME -->`` says where the blocks after it run, ``slow`` behind the name
that they take their time; one directory is one test. ``python`` and ``toml`` blocks begin with a
comment that names the file they are, ``console`` blocks hold commands after ``$`` and what they
print. ``sh`` blocks set up a checkout and are only looked at. With ``shop`` behind the name the
directory is a git repository of fixtures/shop, and its servers run until the comment
``<!-- servers: stopped -->``. With ``DOCS_UPDATE=1`` what a command prints is written into its page
where it is not what the page shows.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import pytest

from servers.shop import CHANGES, Shop, lay_out
from tracediff.config import load_config

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
UPDATE = os.environ.get("DOCS_UPDATE") == "1"
HOME = "/home/you"
TIMEOUT = 300

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PLACE = re.compile(r"<!-- directory: (?P<name>[\w-]+)(?P<slow> slow)?(?P<shop> shop)? -->")
_STOPPED = re.compile(r"<!-- servers: stopped -->")
_NAMED = re.compile(r"# (?P<path>[\w./-]+\.(?:py|toml))\n")
_CHANGING = (
    (re.compile(r"\b1[0-9a-hjkmnp-tv-z]{19}\b"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC|\+00:00)?"), "<time>"),
    (re.compile(r"just now|\b\d+ (?:s|min|h) ago|in the future"), "<age>"),
    (re.compile(r"\d+(?:\.\d+)? (?:ns|µs|ms|s|min|h)(?: \d\d (?:min|s))?\b…?"), "<duration>"),
    (re.compile(r'(?<="started_at": )\d+|(?<="duration": )\d+|(?<="start": )\d+'), "<ns>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{1,12}){1,4}(?:-?…|\b)"), "<uuid>"),
    (re.compile(r"(?<=task:)[0-9a-f]{1,8}…"), "<uuid>"),
    (re.compile(r"(?<='pg_version': )\d+"), "<version>"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[a-f])(?:[0-9a-f]{40}|[0-9a-f]{7})\b"), "<commit>"),
    (re.compile(r"\b(commit|at)( +)\d{7}\b"), r"\1\2<commit>"),  # one of digits alone
    (re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=127\.0\.0\.1 port )\d+"), "<port>"),
    (re.compile(r"git: /\S*/git\b"), "git: <git>"),
    (re.compile(r"(<redacted \w+) [0-9a-f]{8}>"), r"\1 …>"),
    (re.compile(r'(?<="python": )"[^"]+"|(?<="platform": )"[^"]+"'), "<machine>"),
    (re.compile(r" {2,}"), " "),
    (re.compile(r"([━─])[━─]+"), r"\1"),
)


@dataclass(frozen=True)
class Block:
    """One fenced block: its number on the page, its language, its text, where it runs."""

    number: int
    language: str
    text: str
    directory: str | None
    slow: bool = False
    shop: bool = False
    stopped: bool = False


@dataclass(frozen=True)
class Command:
    """A command of a console block and what the page says it prints."""

    line: str
    shown: str


def blocks(page: str) -> Iterator[Block]:
    directory, slow, shop, place_at = None, False, False, 0
    places = list(_PLACE.finditer(page))
    for number, found in enumerate(_FENCE.finditer(page)):
        while places and places[0].start() < found.start():
            place = places.pop(0)
            directory, slow, shop = place["name"], bool(place["slow"]), bool(place["shop"])
            place_at = place.start()
        stopped = _STOPPED.search(page, place_at, found.start()) is not None
        yield Block(number, found[1], found[2], directory, slow, shop, stopped)


def commands(text: str) -> Iterator[Command]:
    """The commands of a console block; what a command prints ends where the next one begins."""
    line, shown = "", []
    for one in text.splitlines():
        if one.startswith("$ "):
            if line:
                yield Command(line, "\n".join(shown))
            line, shown = one[2:], []
        elif line.endswith("\\") and not shown:
            line += f"\n{one}"
        else:
            shown.append(one)
    if line:
        yield Command(line, "\n".join(shown))


def normal(text: str) -> str:
    """The text without what differs from run to run, nor how columns are padded."""
    for pattern, stand_in in _CHANGING:
        text = pattern.sub(stand_in, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


class Shell:
    """Runs the blocks of one directory, in order; ``printed`` holds the console blocks anew."""

    def __init__(self, top: Path, name: str) -> None:
        self.name = name
        self.directory = top / name
        self.directory.mkdir(exist_ok=True)
        self.cwd = self.directory
        self.status = 0
        self.wrong: list[str] = []
        self.printed: dict[int, str] = {}
        self.groups: list[int] = []
        kept = {k: v for k, v in os.environ.items() if k in ("LD_LIBRARY_PATH", "SYSTEMROOT")}
        self.environment = kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(top),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "COLUMNS": "100",
            "NO_COLOR": "1",
            # A file that is changed within the second it was made looks the same to Python's cache.
            "PYTHONDONTWRITEBYTECODE": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "You"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "you@example.com"),
            **dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2026-01-01T00:00:00Z"),
        }

    def run(self, block: Block) -> None:
        if block.language == "console":
            self.console(block)
        else:
            self.write(block)

    def write(self, block: Block) -> None:
        named = _NAMED.match(block.text)
        assert named is not None, f"block {block.number} does not begin with the file it is"
        path = self.directory / named["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        if path.suffix == ".toml":
            load_config(path.parent, env={})

    def console(self, block: Block) -> None:
        lines = []
        for command in commands(block.text):
            printed = self.bash(command.line, self.cwd).replace(
                str(self.directory), f"{HOME}/{self.name}"
            )
            shown = command.shown.splitlines()
            if normal(printed) != normal(command.shown):
                self.wrong.append(difference(command, printed))
                shown = [*map(_indented, printed.rstrip().splitlines())]
            lines += [f"$ {command.line}", *shown]
        self.printed[block.number] = "".join(f"{line.rstrip()}\n" for line in lines)

    def bash(self, line: str, cwd: Path) -> str:
        """What one command prints; the directory it ends in is the next one's."""
        end, mouth = os.pipe()
        # What a command leaves in the background does not hold the mouth, or it were never shut.
        group = f"{{ (exit {self.status})\n{line}\n}} {mouth}>&-"
        script = f"{group}\nstatus=$?; pwd >&{mouth}; exit $status"
        with os.fdopen(end) as place:
            try:
                running = subprocess.Popen(
                    ["bash", "-c", script],
                    cwd=cwd,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    encoding="utf-8",
                    pass_fds=[mouth],
                    start_new_session=True,
                )
            finally:
                os.close(mouth)
            self.groups.append(running.pid)
            with running:
                try:
                    printed, _ = running.communicate(timeout=TIMEOUT)
                except BaseException:
                    self.close()
                    raise
            self.cwd = Path(place.read().strip() or cwd)
        try:
            os.killpg(running.pid, 0)
        except ProcessLookupError:  # it left nothing running: its number may soon be another's
            self.groups.remove(running.pid)
        self.status = running.returncode
        return printed

    def close(self) -> None:
        """End what the commands left running."""
        for group in self.groups:
            with contextlib.suppress(ProcessLookupError):  # it left nothing running
                os.killpg(group, signal.SIGKILL)


def _indented(line: str) -> str:
    """A printed line that looks like a command is set in, so that it is none."""
    return f"  {line}" if line.startswith("$ ") else line


def difference(command: Command, printed: str) -> str:
    pairs = zip_longest(normal(command.shown).split("\n"), normal(printed).split("\n"))
    at, (shown, real) = next((n, p) for n, p in enumerate(pairs, start=1) if p[0] != p[1])
    return f"$ {command.line}\n  line {at} shown:   {shown}\n  line {at} printed: {real}"


def rewrite(page: Path, printed: dict[int, str]) -> None:
    """Put what the commands printed into the page; other tests may do so at the same time."""
    with page.open("r+", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        text, parts, end = stream.read(), [], 0
        for number, found in enumerate(_FENCE.finditer(text)):
            if number in printed:
                parts += [text[end : found.start(2)], printed[number]]
                end = found.end(2)
        stream.seek(0)
        stream.write("".join(parts) + text[end:])
        stream.truncate()


def run_all(some: list[Block], top: Path) -> Shell:
    """Run the blocks of one directory."""
    shell = Shell(top, str(some[0].directory))
    with contextlib.closing(shell):
        for block in some:
            shell.run(block)
    return shell


def run_in_shop(some: list[Block], top: Path) -> Shell:
    """Run the blocks of one directory, in the example of a service and with its servers."""
    name = str(some[0].directory)
    with Shop(lay_out(top / name), top / "logs") as shop:
        shell = Shell(top, name)
        more = {"PORT": str(shop.web_port), "SHOP_URL": shop.url, "SHOP_CHANGES": str(CHANGES)}
        shell.environment |= shop.settings | more
        with contextlib.closing(shell):
            for block in some:
                if block.stopped:
                    shop.stop_servers()
                shell.run(block)
    return shell


def scenarios(*, marked: bool = True) -> Iterator[object]:
    for page in PAGES:
        name = page.relative_to(ROOT)
        places: dict[str | None, list[Block]] = {}
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language in ("python", "toml", "console"):
                places.setdefault(block.directory, []).append(block)
        for directory, found in places.items():
            slow = marked and any(block.slow for block in found)
            marks = [pytest.mark.slow] if slow else []
            yield pytest.param(page, found, id=f"{name}:{directory}", marks=marks)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("page", "some"), list(scenarios()))
def test_the_examples_of_a_page_print_what_it_shows(
    page: Path, some: list[Block], tmp_path: Path
) -> None:
    assert some[0].directory, f"{page.name} has a block before any <!-- directory: NAME -->"
    shell = (run_in_shop if some[0].shop else run_all)(some, tmp_path)
    if UPDATE:
        assert not os.environ.get("CI"), "pages are never written in CI"
        rewrite(page, shell.printed)
    else:
        assert not shell.wrong, "\n".join(shell.wrong)


@pytest.mark.parametrize(("page", "some"), list(scenarios(marked=False)))
def test_every_module_of_an_example_is_run(page: Path, some: list[Block]) -> None:
    ran = " ".join(
        command.line for b in some if b.language == "console" for command in commands(b.text)
    )
    written = [match["path"] for b in some if (match := _NAMED.match(b.text))]
    modules = [path for path in written if path.endswith(".py")]
    assert [path for path in modules if path not in ran] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_block_is_of_a_language_that_is_checked(page: Path) -> None:
    known = {"python", "toml", "console", "sh", "text", "yaml"}
    found = {block.language for block in blocks(page.read_text(encoding="utf-8"))}
    assert found <= known


def test_what_a_page_shows_wrongly_is_told(tmp_path: Path) -> None:
    block = Block(0, "console", "$ echo one\none\n$ echo two\nthree\n", "here")
    shell = run_all([block], tmp_path)
    assert shell.wrong == ["$ echo two\n  line 1 shown:   three\n  line 1 printed: two"]


def test_a_command_sees_the_status_and_the_directory_of_the_one_before(tmp_path: Path) -> None:
    text = "$ mkdir inner && cd inner && exit 3\n$ echo $? && pwd\n3\n/home/you/here/inner\n"
    assert run_all([Block(0, "console", text, "here")], tmp_path).wrong == [
        "$ echo $? && pwd\n  line 2 shown:   /home/you/here/inner\n  line 2 printed: /home/you/here"
    ]
    (tmp_path / "here").rename(tmp_path / "before")
    text = text.replace(" && exit 3", " && false").replace("3\n/", "1\n/")
    assert run_all([Block(0, "console", text, "here")], tmp_path).wrong == []


def test_an_update_writes_what_was_printed_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = "# Page\n\n```text\nkept\n```\n\n```console\n$ echo one; echo '$ two'\nold\n```\nend\n"
    page.write_text(text, encoding="utf-8")
    found = [replace(block, directory="here") for block in blocks(text)][1:]
    rewrite(page, run_all(found, tmp_path).printed)
    written = page.read_text(encoding="utf-8")
    assert written == text.replace("old", "one\n  $ two")
    (tmp_path / "here").rmdir()
    again = [replace(block, directory="here") for block in blocks(written)][1:]
    assert run_all(again, tmp_path).wrong == []


def test_only_what_changes_from_run_to_run_is_left_out() -> None:
    line = "● success  1m8a5r2zpqgmj4ntg35d  shop/price    just now   57.8 µs at 12ab34f  95.08"
    assert normal(line) == "● success <id> shop/price <age> <duration> at <commit> 95.08"
    assert normal("95.08 → 85.49   -9.59") == "95.08 → 85.49 -9.59"
