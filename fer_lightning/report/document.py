"""A report as a list of blocks, written as one self-contained HTML page or as Markdown beside its pictures."""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_lightning.report.figures import Figure


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the document's own."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Code:
    """Commands for a terminal."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        slug: Name for files.
        caption: What it shows.
        header: Names of the columns; the first column names the rows.
        rows: As many texts as columns in each.
    """

    slug: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A figure in its place."""

    figure: "Figure"


_NUMBER = re.compile(r"[-+<\d.,()/±%\N{MINUS SIGN}\N{EN DASH} ]*( to [-+\d.\N{MINUS SIGN}]+| of \d+)?")

_WIDEST = 16  # letters that a column of words has at least for itself before it breaks its lines

Block = Heading | Text | Code | Table | Picture

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --line: #d0d7de; --soft: #f3f5f7; --link: #0550ae }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --paper: #14171a; --line: #3b434b; --soft: #20262c; --link: #79b8ff } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; line-height: 1.25 }
h2 { margin-top: 2.5rem; font-size: 1.25rem; border-bottom: 1px solid var(--line) }
h3 { margin-top: 2rem; font-size: 1.05rem }
nav ul { padding-left: 1.2rem; columns: 2 18rem } a { color: var(--link) }
p { max-width: 48rem }
pre { overflow-x: auto; padding: .75rem; background: var(--soft); border-radius: 6px; font-size: .875rem }
.wide { overflow-x: auto; margin: 1rem 0 }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums }
caption { padding: .25rem 0; font-weight: 600; text-align: left }
caption span { position: sticky; left: 0; display: inline-block; max-width: calc(100vw - 2rem) }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:first-child, td:first-child, td.word, th.word { text-align: left; white-space: normal }
thead th { background: var(--soft) } tbody th { font-weight: 400 }
figure { margin: 1.5rem 0; overflow-x: auto }
figure img { width: 100%; max-width: var(--wide); height: auto; background: #fff; border-radius: 6px }
@media (max-width: 40rem) {
  figure img { min-width: min(36rem, var(--wide) * 0.7) } }
"""


def html(title: str, blocks: Sequence[Block]) -> str:
    """Return a page that needs no other file."""
    anchors = {id(block): f"s{place}" for place, block in enumerate(blocks) if isinstance(block, Heading)}
    contents = "".join(
        f'<li><a href="#{anchors[id(block)]}">{escape(block.text)}</a></li>'
        for block in blocks
        if isinstance(block, Heading) and block.level == 2
    )
    body = "\n".join(_html(block, anchors.get(id(block), "")) for block in blocks)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n<main>\n{body}\n</main>\n</body>\n</html>\n'
    )


def _html(block: Block, anchor: str) -> str:
    if isinstance(block, Heading):
        return f'<h{block.level} id="{anchor}">{escape(block.text)}</h{block.level}>'
    if isinstance(block, Text):
        return f"<p>{escape(block.text)}</p>"
    if isinstance(block, Code):
        return f"<pre>{escape(block.text)}</pre>"
    if isinstance(block, Picture):
        figure = block.figure
        picture = base64.b64encode(figure.svg).decode()
        return (
            f'<figure tabindex="0"><img alt="{escape(figure.text)}" style="--wide: {figure.size[0] * 6:.1f}rem" '
            f'src="data:image/svg+xml;base64,{picture}"></figure>'
        )
    words = _columns_of_words(block)
    longest = [max(len(row[i]) for row in [block.header, *block.rows]) for i in range(len(block.header))]
    head = "".join(
        _cell("th", name, words[i], f' scope="col" style="min-width: {min(longest[i], _WIDEST)}ch"')
        for i, name in enumerate(block.header)
    )
    rows = "".join(
        "<tr>"
        + "".join(_cell("td" if i else "th", text, words[i], "" if i else ' scope="row"') for i, text in enumerate(row))
        + "</tr>"
        for row in block.rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(block.caption)}"><table>'
        f"<caption><span>{escape(block.caption)}</span></caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cell(tag: str, text: str, word: bool, scope: str) -> str:
    kind = ' class="word"' if word else ""
    return f"<{tag}{scope}{kind}>{escape(text)}</{tag}>"


def _columns_of_words(table: Table) -> list[bool]:
    """Tell the columns of words, which stand left, from those of numbers, which stand right."""
    return [not all(_NUMBER.fullmatch(row[i]) for row in table.rows) for i in range(len(table.header))]


def markdown(title: str, blocks: Sequence[Block], picture: Callable[["Figure"], str]) -> str:
    """Return the document as Markdown.

    Args:
        title: What stands above.
        blocks: The document.
        picture: Gives the address of a figure's file.
    """
    parts = [f"# {title}", *(_markdown(block, picture) for block in blocks)]
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block, picture: Callable[["Figure"], str]) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Text):
        return block.text
    if isinstance(block, Code):
        return f"```bash\n{block.text}\n```"
    if isinstance(block, Picture):
        return f"![{block.figure.text}]({picture(block.figure)})"
    return f"**{block.caption}**\n\n{markdown_table(block)}"


def markdown_table(table: Table) -> str:
    """Return the lines of a table without its caption."""
    rule = ["---" if word else "---:" for word in _columns_of_words(table)]
    lines = [list(table.header), rule, *([text.replace("|", "\\|") for text in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
