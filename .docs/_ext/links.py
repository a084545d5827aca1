"""Links from names in code to the API pages and to the documentation of other libraries, without the network.

A name in single or double backquotes becomes a link if it is documented here (`fastgmm.select`, `select` or
`GaussianMixture.adapt`) or begins with a library of `ELSEWHERE`; everything else stays code. Explicit roles, such as
``{func}`fastgmm.select```, must resolve (``nitpicky``).
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

#: Where each library documents a name; ``{name}`` is the full name, ``{module}`` what is before the last dot.
ELSEWHERE = {
    "numpy": "https://numpy.org/doc/stable/reference/generated/{name}.html",
    "scipy": "https://docs.scipy.org/doc/scipy/reference/generated/{name}.html",
    "sklearn": "https://scikit-learn.org/stable/modules/generated/{name}.html",
    "pandas": "https://pandas.pydata.org/docs/reference/api/{name}.html",
    "polars": "https://docs.pola.rs/api/python/stable/reference/",
    "pyarrow": "https://arrow.apache.org/docs/python/generated/{name}.html",
    "dask.array": "https://docs.dask.org/en/stable/array-api.html",
    "dask.dataframe": "https://docs.dask.org/en/stable/dataframe-api.html",
    "distributed": "https://distributed.dask.org/en/stable/api.html",
    "matplotlib": "https://matplotlib.org/stable/api/_as_gen/{name}.html",
    "numba": "https://numba.readthedocs.io/en/stable/reference/index.html",
}
#: Names whose page is not where those of their library are.
PAGES = {
    "numpy.random.Generator": "https://numpy.org/doc/stable/reference/random/generator.html",
    "numpy.random.RandomState": "https://numpy.org/doc/stable/reference/random/legacy.html",
    "dask.array": ELSEWHERE["dask.array"],
    "dask.dataframe": ELSEWHERE["dask.dataframe"],
    "matplotlib.axes.Axes": "https://matplotlib.org/stable/api/_as_gen/matplotlib.axes.Axes.html",
    "matplotlib.figure.Figure": "https://matplotlib.org/stable/api/figure_api.html",
    "matplotlib.figure.SubFigure": "https://matplotlib.org/stable/api/figure_api.html",
    "dask.array.Array": "https://docs.dask.org/en/stable/generated/dask.array.Array.html",
}
SHORT = {"np": "numpy", "da": "dask.array", "dd": "dask.dataframe", "pd": "pandas"}
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def url_of(name: str) -> str | None:
    """Return the page of another library's name, None if it is not one."""
    first, dot, rest = name.partition(".")
    name = SHORT.get(first, first) + dot + rest
    if name in PAGES:
        return PAGES[name]
    for library, url in ELSEWHERE.items():
        if name.startswith(f"{library}."):
            return url.format(name=name)
    return None


def documented(name: str, objects: dict[str, Any]) -> str | None:
    """Return the full name of what is documented: `name` in `fastgmm`, or a class, or its member, wherever it is."""
    if f"fastgmm.{name}" in objects:
        return f"fastgmm.{name}"
    if not name[:1].isupper():
        return None
    return next((full for full in objects if full.endswith(f".{name}")), None)


def external(url: str, content: nodes.Node) -> nodes.reference:
    return nodes.reference("", "", content, internal=False, refuri=url)


def on_missing(app: Any, env: Any, node: pending_xref, content: nodes.Node) -> nodes.Node | None:
    """Resolve what Sphinx cannot: another library's name is a link, and a backquoted word that is no name is code."""
    if node["reftarget"].startswith("python:"):  # numpydoc's links to Python's own types, which everyone knows
        return nodes.inline("", content.astext().removeprefix("python:"))
    if node.get("refdomain") != "py":
        return None
    objects = env.get_domain("py").objects
    if (name := documented(node["reftarget"], objects)) is not None:
        entry = objects[name]
        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, name)
    if url := url_of(node["reftarget"]):
        return external(url, content)
    return content if node.get("reftype") == "obj" else None


class LinkNames(SphinxPostTransform):
    """Make the first mention of a documented name in each section a link."""

    default_priority = 5

    def run(self, **_: Any) -> None:
        objects = self.env.get_domain("py").objects
        linked: dict[int, set[str]] = {}
        for literal in list(self.document.findall(nodes.literal)):
            section = self._section(literal)
            text = literal.astext().removesuffix("()")
            if section is None or not _NAME.fullmatch(text):
                continue
            candidates = (text, documented(text, objects), f"fastgmm.GaussianMixture.{text}")
            found = next((name for name in candidates if name in objects), None)
            url = None if found else url_of(text)
            if not (found or url) or text in linked.setdefault(id(section), set()):
                continue
            linked[id(section)].add(text)
            if found:
                entry = objects[found]
                link = make_refnode(
                    self.app.builder, self.env.docname, entry.docname, entry.node_id, literal.deepcopy(), found
                )
            else:
                link = external(url, literal.deepcopy())
            literal.parent.replace(literal, link)

    @staticmethod
    def _section(node: nodes.Node) -> nodes.section | None:
        """Return the section of a literal, None if it is part of a link, a title or a definition of a name."""
        parent = node.parent
        while parent is not None and not isinstance(parent, nodes.section):
            if isinstance(parent, (nodes.reference, pending_xref, nodes.title)):
                return None
            parent = parent.parent
        return parent


def setup(app: Any) -> dict[str, Any]:
    app.connect("missing-reference", on_missing)
    app.add_post_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
