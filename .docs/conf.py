"""Configuration of the documentation: ``sphinx-build -W -j 2 .docs FOLDER``, after ``pip install ".[docs]"``."""

from __future__ import annotations

import inspect
import os
import re
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import fastgmm  # noqa: E402

project = "fastgmm"
author = copyright = "the fastgmm developers"
version = release = fastgmm.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_parser", "links"]
exclude_patterns = ["examples", "_*"]
templates_path = ["_templates"]
root_doc = "index"
nitpicky = True
# single backquotes in docstrings: a link if it is a public name, else code (see _ext/links.py)
default_role = "py:obj"
add_module_names = False
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 88

# --- docstrings ---

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # the docstrings say what a parameter is, with shapes
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False  # the template of a class has them
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # words of a type that are no name: of, shape, optional, ...
numpydoc_xref_aliases = {
    "ndarray": "numpy.ndarray",
    "numpy.ndarray": "numpy.ndarray",
    "array-like": ":term:`array-like`",
    "Stats": "fastgmm.model.stats.Stats",
    "Merging": "fastgmm.inference.Merging",
    "Bootstrap": "fastgmm.inference.Bootstrap",
    "LikelihoodRatioTest": "fastgmm.inference.LikelihoodRatioTest",
    "Chunks": "fastgmm.data.chunks.Chunks",
    "EMStep": "fastgmm.functional.EMStep",
    "KMeansResult": "fastgmm.init.kmeans.KMeansResult",
    "Noise": "fastgmm.model.noise.Noise",
    "Axes": "matplotlib.axes.Axes",
    **{name: f"fastgmm.{name}" for name in fastgmm.__all__ if name[0].isupper()},
}

# --- Markdown ---

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# --- the gallery ---

autosummary_context = {"gallery": (HERE / "examples").is_dir()}
if autosummary_context["gallery"]:
    extensions.append("sphinx_gallery.gen_gallery")
    os.environ.setdefault("MPLBACKEND", "agg")
    sphinx_gallery_conf = {
        "examples_dirs": "examples",
        "gallery_dirs": "gallery",
        "within_subsection_order": "FileNameSortKey",
        "doc_module": ("fastgmm",),
        "reference_url": {"fastgmm": None},
        "backreferences_dir": "api/examples",
        "abort_on_example_error": False,
        "capture_repr": ("_repr_html_",),
        "download_all_examples": False,
        "show_signature": False,
        "plot_gallery": True,
    }
else:
    suppress_warnings = ["toc.not_readable"]

# --- HTML ---

html_theme = "pydata_sphinx_theme"
html_title = f"fastgmm {release}"
html_static_path = ["_static"]
html_css_files = ["fastgmm.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "fastgmm"},
    "show_prev_next": False,
    "navbar_align": "left",
    "header_links_before_dropdown": 5,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
# pages without others beneath them need no navigation of a section
html_sidebars = {page: [] for page in ("index", "from_*", "design", "glossary", "changelog")}


#: Classes whose methods are for the package itself; their parameters and attributes are public.
PARAMETERS_ONLY = ("NormalInverseWishart", "Chunks")


def _signature(app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returns: str) -> Any:
    """Give compiled functions the signature of their Python source, and results, which nobody constructs, none."""
    if what == "class" and (issubclass(obj, (tuple, Exception)) or is_dataclass(obj)):
        return "", ""
    function = getattr(obj, "py_func", None)
    return None if function is None else (str(inspect.signature(function)), "")


def _skip(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out fields of tuples, which the docstring lists, defaults of parameters, and what the package alone calls."""
    function = getattr(obj, "fget", obj)
    owner = getattr(getattr(function, "__func__", function), "__qualname__", "").partition(".")[0]
    if type(obj).__name__ == "_tuplegetter" or isinstance(obj, str) or owner in PARAMETERS_ONLY:
        return True
    return None


def _escape_types(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape names such as ``n_features_in_`` in the types of parameters, where they would be targets of links."""
    for i, line in enumerate(lines):
        if re.match(r"(\*{0,2}\w+(, \*{0,2}\w+)*) : ", line) and "`" not in line:
            names, colon, kind = line.partition(" : ")
            lines[i] = names + colon + re.sub(r"(?<=\w)_(?!\w)|\*(?=\w)", r"\\\g<0>", kind)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", _escape_types, priority=100)  # before numpydoc
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-skip-member", _skip)
