"""The language of a line: text to meaning to argv, with bash's meaning and nothing that computes.

Pure: no I/O, no clock, no environment, the standard library alone. `parse` gives a `Line` or raises
`Malformed` or `Refused`; `expand_stage` gives the argv that is judged and run.
"""

from pactsh.language.ast import Glob, Item, Line, Part, Pipeline, Redirect, Stage, Text, Variable, Word
from pactsh.language.errors import LineError, Malformed, Refused, Span
from pactsh.language.expansion import Expanded, expand_redirect, expand_stage, expand_word
from pactsh.language.globbing import Listing
from pactsh.language.lexer import VARIABLES
from pactsh.language.parser import parse
from pactsh.language.quoting import join, quote

__all__ = [
    "VARIABLES",
    "Expanded",
    "Glob",
    "Item",
    "Line",
    "LineError",
    "Listing",
    "Malformed",
    "Part",
    "Pipeline",
    "Redirect",
    "Refused",
    "Span",
    "Stage",
    "Text",
    "Variable",
    "Word",
    "expand_redirect",
    "expand_stage",
    "expand_word",
    "join",
    "parse",
    "quote",
]
