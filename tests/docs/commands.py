"""The commands that pages of the documentation show, taken apart."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import nbformat
import yaml

from tests.docs.pages import REPOSITORY

PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for path in (
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "benchmarks").glob("*.md"),
    )
)
NOTEBOOKS = sorted(
    path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "examples").rglob("*.ipynb")
)
SCRIPTS = ("examples/quickstart.sh", "examples/compose.yaml")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SHELL = ("", "bash")
_SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
# What ends a command: separators, redirections, the columns of a table of commands.
_END = re.compile(r"[;|&<>()]+")
_OURS = re.compile(r"python\s+-m\s|launch/\w+\.(?:sh|sbatch)\s")
_RUNS = "trainers.run"


@dataclass(frozen=True)
class Shown:
    """One command that a page shows.

    Attributes:
        text: The command as one line.
        module: What `python -m` runs, also where a launcher does so.
        arguments: What follows it.
    """

    text: str
    module: str
    arguments: tuple[str, ...]

    def flags(self) -> Iterator[tuple[str, str | None]]:
        """Yields each flag's name and its value, None where it has none."""
        for argument in self.arguments:
            if argument.startswith("--"):
                name, equals, value = argument[2:].partition("=")
                yield name, value if equals else None


def commands_of(place: str) -> list[Shown]:
    """Returns the commands that a page, a notebook or a script shows."""
    if place.endswith(".yaml"):
        return commands_in(compose_script())
    text = (REPOSITORY / place).read_text(encoding="utf-8")
    if place.endswith(".ipynb"):
        cells = nbformat.reads(text, as_version=4).cells
        text = "\n".join(_as_page(cell) for cell in cells)
    if place.endswith(".sh"):
        return commands_in(text)
    found = []
    for language, block in _FENCED.findall(text):
        if language in _SHELL:
            found += commands_in(block)
    prose = _FENCED.sub("", text)
    for span in _SPAN.findall(prose):
        if span.startswith(("python -m ", "launch/")):
            found += commands_in(span.replace("\n", " "))
    return found


def _as_page(cell: nbformat.NotebookNode) -> str:
    """Returns a cell of a notebook as the part of a page: commands as a block, prose as it is."""
    if cell.cell_type == "markdown":
        return str(cell.source)
    language = "bash" if cell.source.startswith("%%bash") else "python"
    return f"```{language}\n{cell.source}\n```"


def commands_in(text: str) -> list[Shown]:
    """Returns the commands of this project in a text of the shell."""
    text = re.sub(r"<<'(\w+)'.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\\\n\s*", " ", text)
    found = []
    for line in filter(_OURS.search, text.splitlines()):
        lexer = shlex.shlex(line.replace("[--", " --"), posix=True, punctuation_chars=";|&<>()")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if _END.fullmatch(word):
                found += _command(words)
                words = []
            else:
                words.append(word)
    return found


def _command(words: list[str]) -> list[Shown]:
    """Returns the command of this project that some words are, if they are one."""
    text = " ".join(words)
    launcher = next((n for n, word in enumerate(words) if word.startswith("launch/")), None)
    if "-m" in words:
        place = words.index("-m")
        if launcher is None and not words[place - 1].endswith("python"):
            return []
        module, arguments = words[place + 1], words[place + 2 :]
    elif launcher is not None and words[launcher].endswith((".sh", ".sbatch")):
        module, arguments = _RUNS, words[launcher + 1 :]
    else:
        return []
    return [Shown(text, module, tuple(argument.rstrip("]") for argument in arguments))]


def shell_files(text: str) -> set[str]:
    """Returns the scripts of this project that a text names."""
    return set(re.findall(r"(?<![\w/.])(?:launch|examples|tests)/[\w/]+\.(?:sh|sbatch|py)", text))


def make_targets(text: str) -> set[str]:
    """Returns the targets of make that a text's blocks and code call."""
    code = [block for language, block in _FENCED.findall(text) if language in _SHELL]
    code += _SPAN.findall(_FENCED.sub("", text))
    return {target for part in code for target in re.findall(r"^make ([a-z-]+)", part, re.M)}


def makefile_targets() -> set[str]:
    """Returns the targets that the Makefile has."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def compose_script() -> str:
    """Returns what the service `training` of examples/compose.yaml runs."""
    text = (REPOSITORY / "examples" / "compose.yaml").read_text(encoding="utf-8")
    script: str = yaml.safe_load(text)["services"]["training"]["command"][-1]
    return script.replace("$$", "$")
