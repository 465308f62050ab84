"""The files read on their own, as GitHub shows them; here they are pages.

A file links to another as ```The life of a call <calls.rst>`_``, which leads to its page here; one
that leads nowhere is a warning. A file's own list of contents is left out: pages have it at the
side.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from posixpath import normpath

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

_TREE = Path(__file__).parents[2]

#: Files beside docs/ that are pages here.
_PAGES = {"README.rst": "quick-start", "SECURITY.rst": "security", "CHANGELOG.rst": "changelog"}

log = logging.getLogger(__name__)


class FileLinks(SphinxTransform):
    default_priority = 5

    def apply(self, **_: object) -> None:
        for link in list(self.document.findall(nodes.reference)):
            uri = link.get("refuri", "")
            if uri and "://" not in uri and not uri.startswith(("#", "mailto:")):
                self._lead(link, uri)

    def _lead(self, link: nodes.reference, uri: str) -> None:
        path = normpath(PurePosixPath("docs", uri))
        page = _PAGES.get(path) or path.removeprefix("docs/").removesuffix(".rst")
        if path.endswith(".rst") and page in self.env.found_docs:
            to = addnodes.pending_xref(
                "", refdomain="std", reftype="doc", reftarget=f"/{page}",
                refexplicit=True, refwarn=True, refdoc=self.env.docname,
            )  # fmt: skip
            to += nodes.inline("", link.astext())
        elif (_TREE / path).is_file():
            to = addnodes.download_reference(
                "", "", refdoc=self.env.docname, reftarget=f"/{normpath(uri)}", refwarn=True
            )
            to += nodes.literal("", link.astext())
        else:
            log.warning("there is no %s", path, location=link)
            return
        link.replace_self(to)


def leave_out_contents(app: Sphinx, page: nodes.document) -> None:
    for topic in list(page.findall(nodes.topic)):
        if "contents" in topic["classes"]:
            topic.parent.remove(topic)


def setup(app: Sphinx) -> dict[str, object]:
    app.add_transform(FileLinks)
    app.connect("doctree-read", leave_out_contents)
    return {"parallel_read_safe": True}
