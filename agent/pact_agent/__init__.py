"""pact-agent: runs commands on a node, contained and journaled, and watches the node's state."""
