"""What a page of Markdown has: links, headings, blocks."""

import re

BLOCK = re.compile(r"^([ ]*)```(\S*)[^\n]*\n(.*?)^\1```[ ]*$", re.DOTALL | re.MULTILINE)


def blocks(text):
    """(language, content) of each fenced block, in their order."""
    return [(language, content) for _, language, content in BLOCK.findall(text)]


def links(text):
    """The targets of all links and pictures outside of blocks."""
    return re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", text))


def anchors(text):
    """The anchors of the headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}
