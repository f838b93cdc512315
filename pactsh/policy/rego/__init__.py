"""A site's own policy in Rego: modules, the two engines that evaluate them, and what their answers mean.

It comes after the whitelist and the roles, which no module can lift: a module refuses, or asks for a second person.
"""

from pactsh.policy.rego.embedded import Embedded
from pactsh.policy.rego.opa import Opa
from pactsh.policy.rego.verdict import Engine, Verdict

__all__ = ["Embedded", "Engine", "Opa", "Verdict"]
