"""Who may do what: roles, the vCluster's policy document, and the one decision function."""
