"""What a page of Markdown has: links, headings, blocks."""

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt

FENCED = re.compile(r"^([ ]*)```(\S*)[^\n]*\n(.*?)^\1```[ ]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code: its language ("" where none is said), the line it begins in, its text without indentation."""

    language: str
    line: int
    text: str
    fenced: bool = True

    @property
    def first(self):
        """Its first line."""
        return self.text.partition("\n")[0]


def code_blocks(text):
    """Every block of code, also those that are only indented, in their order."""
    for token in MarkdownIt().parse(text):
        if token.type in ("fence", "code_block"):
            fenced = token.type == "fence"
            yield Block(token.info.partition(" ")[0], token.map[0] + 1, token.content, fenced)


def blocks(text):
    """(language, content) of each fenced block, in their order."""
    return [(block.language, block.text) for block in code_blocks(text) if block.fenced]


def links(text):
    """The targets of all links and pictures outside of blocks."""
    return re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", text))


def anchors(text):
    """The anchors of the headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}
