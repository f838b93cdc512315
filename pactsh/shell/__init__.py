"""The `pactsh` program: reads lines, shows them to the agent, relays what comes back.

It holds no privilege and decides nothing that matters. Nothing is imported here:
the start-up time of `pactsh -c` is a feature.
"""
