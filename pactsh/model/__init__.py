"""Values that cross between the parts: identity, entry, policy. They know nobody."""
