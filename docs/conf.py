"""Settings of the site: ``make docs`` builds it into ``docs/_build/html``, without a network."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_extensions"))

from foreign_names import inventories  # noqa: E402
from source_links import resolver, source_url  # noqa: E402

import mmdisentangle  # noqa: E402

project = "mmdisentangle"
author = "The mmdisentangle authors"
copyright = author
version = release = mmdisentangle.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    # Source links lead into the site itself, or to the host of a published version.
    "sphinx.ext.linkcode" if source_url() else "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    "components",
    "explained",
    "foreign_names",
    "offline_mathjax",
    "public_names",
]
linkcode_resolve = resolver(source_url() or "")
root_doc = "index"
exclude_patterns = ["_build", "**/_*", "**/sg_execution_times.rst", "sg_execution_times.rst"]
templates_path = ["_templates"]
nitpicky = True
nitpick_ignore_regex = [
    # Shapes such as Float[Tensor, "B T D"] are read as they stand, and literals are no names.
    ("py:class", r"jaxtyping\..*"),
    ("py:class", r"'.*'"),
    # Type variables, and what only the library's own trainer hands over.
    ("py:class", r".*\.(Data|OfGraph|Leaf|ShareSampler)"),
    ("py:class", r"dict\[str|rich\.console\.Console"),
    # Parts of numpy's ArrayLike.
    ("py:class", r"numpy\._typing\..*"),
]
default_role = "name"
intersphinx_mapping = inventories(DOCS / "_build" / "inventories")

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = [("Shape", "returns_style"), "Numerics", "Deviations"]
maximum_signature_line_length = 100
python_display_short_literal_types = True
python_use_unqualified_type_names = True
toc_object_entries = False

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"

sphinx_gallery_conf = {
    "thumbnail_size": (400, 280),
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"^(?!plot_).*\.py$",
    "within_subsection_order": "gallery.Order",
    "backreferences_dir": "gallery/uses",
    "doc_module": ("mmdisentangle",),
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "min_reported_time": 0,
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib", "gallery.reset"),
    "abort_on_example_error": True,
    "write_computation_times": False,
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = "mmdisentangle"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
