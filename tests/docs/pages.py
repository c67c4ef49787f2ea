"""Pages of documentation as tests read them: fenced blocks with what is said about each, links, headings, commands.

A block is run by the language of its fence; comments of HTML right before a fence, which no reader sees, say otherwise:

    <!-- not run: REASON -->               a block that no test can run, or none can run cheaply
    <!-- run: slow -->                     run by the tests marked `thorough` alone
    <!-- first: COMMAND -->                a command that makes what the block needs and a reader has
    <!-- file: NAME -->                    the block is a file that later blocks of the page name
    <!-- file: NAME; in tests: {...} -->   the same, smaller: these keys replace those of the file after it was planned

Blocks of one page share a folder and are run in their order. A page with `<!-- goes on from: PAGE -->` begins with the
folder that PAGE ends with.
"""

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "README.md"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
LINKED = (*PAGES, ROOT / "CONTRIBUTING.md")

LANGUAGES = ("sh", "console", "yaml", "json", "dockerfile", "text")

_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)
_SAID = re.compile(r"(not run|run|first|file|goes on from):\s*(.+)", re.DOTALL)
_IN_TESTS = re.compile(r"(\S+);\s*in tests:\s*(\{.*\})", re.DOTALL)


class PageError(Exception):
    """A page says what no test understands; the message says what to write instead."""


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        where: page and line, such as "docs/start.md:12".
        language: of the fence.
        text: what is between the fences.
        run: how it is run.
        before: commands that the test runs first.
        file: the name under which later blocks find it.
        in_tests: keys of the file that are replaced before commands read it.
    """

    where: str
    language: str
    text: str
    run: Literal["always", "slow", "never"] = "always"
    before: tuple[str, ...] = ()
    file: str | None = None
    in_tests: Mapping[str, Any] = MappingProxyType({})


def name_of(page: Path) -> str:
    """The path of a page inside the repository."""
    return str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page in their order.

    Raises:
        PageError: a fence has no known language, or a comment before it is not understood.
    """
    tokens = _tokens(page)
    for i, token in enumerate(tokens):
        if token.type in {"fence", "code_block"}:
            where = f"{name_of(page)}:{(token.map or [0])[0] + 1}"
            if token.info not in LANGUAGES:
                raise PageError(f"{where}: a block of language {token.info!r}; write one of {', '.join(LANGUAGES)}")
            yield reduce(_said, _comments_before(tokens, i), Block(where, token.info, token.content))


def goes_on_from(page: Path) -> Path | None:
    """The page whose folder a page begins with."""
    found = [said for comment in _COMMENT.findall(page.read_text()) if (said := _SAID.fullmatch(comment))]
    names = [said[2] for said in found if said[1] == "goes on from"]
    return page.parent / names[0] if names else None


def links(page: Path) -> Iterator[str]:
    """Where the links and pictures of a page lead."""
    for token in _inline(page):
        for name in ("href", "src"):
            if (target := token.attrGet(name)) is not None:
                yield str(target)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    tokens = _tokens(page)
    titles = [tokens[i + 1].children or [] for i, token in enumerate(tokens) if token.type == "heading_open"]
    texts = ["".join(part.content for part in title) for title in titles]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


def code_spans(page: Path) -> Iterator[str]:
    """What a page sets as code inside its sentences and tables."""
    return (token.content for token in _inline(page) if token.type == "code_inline")


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """What a reader types, and in a console block the lines that each command has to print; `...` stands for others.

    Raises:
        PageError: a console block begins with something else than a command.
    """
    found: list[tuple[str, list[str]]] = []
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.language == "sh":
            found += [(line, [])] if line.strip() and not line.startswith("#") else []
        elif line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif not found:
            raise PageError(f"{block.where}: a console block begins with '$ COMMAND'; what is no command is 'text'")
        elif line.strip() not in {"", "..."}:
            found[-1][1].append(" ".join(line.split()))
    return found


def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def _inline(page: Path) -> Iterator[Token]:
    """All that stands inside sentences, tables and headings."""
    for token in _tokens(page):
        yield from token.children or []


def _comments_before(tokens: list[Token], index: int) -> Iterator[str]:
    """What the HTML comments right before a token say, first to last."""
    first = index
    while first and tokens[first - 1].type == "html_block":
        first -= 1
    for token in tokens[first:index]:
        yield from _COMMENT.findall(token.content)


def _said(block: Block, comment: str) -> Block:
    """A block with what a comment says of it."""
    said = _SAID.fullmatch(comment)
    kind, rest = said.groups() if said else ("", "")
    if kind == "not run":
        return block._replace(run="never")
    if (kind, rest) == ("run", "slow"):
        return block._replace(run="slow")
    if kind == "first":
        return block._replace(before=(*block.before, " ".join(rest.split())))
    if kind == "file":
        smaller = _IN_TESTS.fullmatch(rest)
        return block._replace(
            file=smaller[1] if smaller else rest, in_tests=yaml.safe_load(smaller[2]) if smaller else {}
        )
    if kind == "goes on from":
        return block
    raise PageError(
        f"{block.where}: the comment before it, {comment!r}, is none of: not run: REASON; run: slow; first: COMMAND; "
        "file: NAME; file: NAME; in tests: {KEY: VALUE}"
    )
