"""What each command of this project says of itself: its help text and its flags.

  python docs/hooks/command_help.py FOLDER      # writes FOLDER/<module>.xml for every command

A command runs with absl's `--helpxml` in a process of its own, since flags of two commands may
clash. All are forked from one process that has loaded TensorFlow, which takes seconds.
"""

from __future__ import annotations

import importlib
import os
import re
import runpy
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

REPOSITORY = Path(__file__).resolve().parents[2]
ROOMS = ("data", "trainers", "serving", "benchmarks")
_PEERS = "benchmarks/peers/"  # run in an environment of their own
_PRELOADED = ("trainers.loop", "data.inspection.page", "serving.server.running")
_IS_COMMAND = re.compile(r"^    app\.run\(", re.MULTILINE)


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        name: Without dashes.
        kind: Its type in absl's words: `int`, `string`, `bool`, `comma separated list of strings`.
        default: As text; empty where it has none.
        meaning: One sentence or two.
        choices: The values that it takes; empty where any will do.
    """

    name: str
    kind: str
    default: str
    meaning: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """One command: `python -m <module>`, its help text, and its flags by name."""

    module: str
    usage: str
    flags: dict[str, Flag]


def command_modules() -> list[str]:
    """Returns the modules that are commands, by room."""
    found = []
    for room in ROOMS:
        for path in sorted((REPOSITORY / room).rglob("*.py")):
            name = path.relative_to(REPOSITORY).as_posix()
            if not name.startswith(_PEERS) and _IS_COMMAND.search(path.read_text(encoding="utf-8")):
                found.append(name.removesuffix(".py").removesuffix("/__main__").replace("/", "."))
    return found


def read_commands() -> dict[str, Command]:
    """Asks every command for its help, which takes some seconds."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(REPOSITORY)}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, __file__, folder],
            env=environment,
            check=False,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return {
            module: _parse(module, Path(folder, f"{module}.xml").read_text(encoding="utf-8"))
            for module in command_modules()
        }


def _parse(module: str, xml: str) -> Command:
    root = ElementTree.fromstring(xml)
    flags = {}
    for element in root.iter("flag"):
        # absl, TensorFlow and others define flags too.
        if _is_ours(_text(element, "file")):
            choices = tuple(choice.text or "" for choice in element.iter("enum_value"))
            name, kind = _text(element, "name"), _text(element, "type")
            default, meaning = _text(element, "default"), _text(element, "meaning")
            flags[name] = Flag(name, kind, default, meaning, choices)
    return Command(module, _text(root, "usage").strip(), flags)


def _is_ours(place: str) -> bool:
    """Whether a flag's place, a module or the path of the command, is of this project."""
    return Path(place).is_relative_to(REPOSITORY) or place.partition(".")[0] in ROOMS


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(name) or ""


def _write_help(module: str, path: Path) -> None:
    """Runs a command's `--helpxml` in a child process, with its output in a file."""
    child = os.fork()
    if child == 0:
        with path.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), sys.stdout.fileno())
            sys.argv = [module, "--helpxml"]
            try:
                with suppress(SystemExit):
                    runpy.run_module(module, run_name="__main__", alter_sys=True)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(0)
    os.waitpid(child, 0)
    # The exit code tells nothing: absl's help ends with 1, like an error.
    if not path.read_text(encoding="utf-8").rstrip().endswith("</AllFlags>"):
        sys.exit(f"python -m {module} --helpxml did not print its flags")


def main(folder: Path) -> None:
    """Writes the help of every command."""
    for name in _PRELOADED:
        importlib.import_module(name)

    for module in command_modules():
        _write_help(module, folder / f"{module}.xml")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
