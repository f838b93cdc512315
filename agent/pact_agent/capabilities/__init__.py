"""What a node has: one module a kind, each reading the kernel's files below a root; `prober` puts them together."""
