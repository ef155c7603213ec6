"""The site of the Markdown of this repository: make docs builds it into docs/_build.

It works offline. Sources are named from the root of the repository, so that the links of README.md
and of the pages in docs/ are the same here and there.
"""

import inspect

import docutils.nodes
from docutils.utils.math.latex2mathml import tex2mathml

import tfgates

project = "tfgates"
release = tfgates.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/*.md",
    "serving/README.md",
    "datasets/README.md",
    "benchmarks/results/*.md",
]
exclude_patterns = [".*", "docs/_build", "runs"]
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_math_renderer = "mathml"

# Fences and dollars are mathematics on GitHub too.
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3

# A name between single backticks is code, as in Markdown.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints = "none"
# As lists: "momentum, epsilon: of batch norm" are two names, not a type and a name.
napoleon_use_param = False
napoleon_custom_sections = [("Call arguments", "params_style"), ("Attributes", "params_style")]
# Named by its last part wherever it is raised.
nitpick_ignore = [("py:exc", "UserError")]


def setup(app):
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))
    app.connect("autodoc-process-signature", signature_of_init)
    app.connect("build-finished", write_entry)


def inline_math(writer, node):
    """Browsers show MathML without a script; MathJax would come from another host."""
    writer.body.append(tex2mathml(node.astext()))
    raise docutils.nodes.SkipNode


def block_math(writer, node):
    # Without room around it some browsers show a scroll bar.
    equation = tex2mathml(node.astext(), as_block=True)
    writer.body.append(f'<div style="padding: 0.5em">{equation}</div>')
    raise docutils.nodes.SkipNode


def signature_of_init(app, what, name, documented, options, signature, annotation):
    """Of a Keras class Sphinx would show `__new__`, which takes anything."""
    if what == "class" and signature == "(*args, **kwargs)":
        parameters = list(inspect.signature(documented.__init__).parameters.values())[1:]
        return str(inspect.Signature(parameters)), None
    return None


def write_entry(app, error):
    """The first page is docs/index.html, and index.html leads there."""
    link = f'<meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
    (app.outdir / "index.html").write_text(link)
