"""What is declared for the nodes of a vCluster, as `pact apply` reads it and `pact promote` writes it."""

from pactsh.spec.checks import value_faults
from pactsh.spec.mapping import values_of
from pactsh.spec.parse import Spec, load_spec, parse_spec
from pactsh.spec.render import render_spec

__all__ = ["Spec", "load_spec", "parse_spec", "render_spec", "value_faults", "values_of"]
