"""pact: the shell, command line and journal for administering cluster nodes.

Nothing is imported here: start-up time of `pactsh -c` is a feature.
"""

__version__ = "0.1.0"
