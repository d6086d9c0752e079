"""Hooks of mkdocs: what the site holds beside the files of `docs/`.

Pages that stand elsewhere in the repository are taken in, with their links and those to them
changed to fit, and the page of commands shows what the commands say of themselves.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))  # mkdocs loads hooks by path
from command_help import REPOSITORY, Command, read_commands

OUTSIDE = {  # place in the repository: place in the site
    "benchmarks/README.md": "benchmarks.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
COMMANDS_PAGE = "reference/commands.md"
_LINK = re.compile(r"(\]\()([^)\s#]+\.md)")
_FOLDER = re.compile(r"\[([^\]]+)\]\([\w/-]+\)")  # of the repository, which the site does not hold


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are no files of `docs/`."""
    for source, place in OUTSIDE.items():
        text = (REPOSITORY / source).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Adds the help of commands to their page, and changes links to places in the site."""
    del config, files
    if page.file.src_uri == COMMANDS_PAGE:
        markdown += as_markdown(read_commands())
    markdown = _FOLDER.sub(r"\1", markdown)
    return _LINK.sub(lambda found: found[1] + in_site(found[2], page.file.src_uri), markdown)


def in_site(link: str, page: str) -> str:
    """Returns a link as the site has it.

    Args:
        link: Relative, as it stands in a page.
        page: The page's place in the site.
    """
    sources = {place: source for source, place in OUTSIDE.items()}
    source = sources.get(page, f"docs/{page}")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    target = OUTSIDE.get(target, target.removeprefix("docs/"))
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def as_markdown(commands: dict[str, Command]) -> str:
    """Returns the help text and the flags of commands, in Markdown."""
    parts = []
    for command in commands.values():
        parts.append(f"\n## {command.module}\n\n```text\n{command.usage}\n```\n")
        if command.flags:
            parts.append("\n| flag | default | |\n|---|---|---|\n")
        for flag in sorted(command.flags.values(), key=lambda flag: flag.name):
            meaning = flag.meaning.replace("|", "\\|").replace("<", "&lt;")
            default = f"`{flag.default}`" if flag.default else ""
            parts.append(f"| `--{flag.name}` | {default} | {meaning} |\n")
    return "".join(parts)
