"""graph: a checked model as a typed graph over networkx, its checker, its costs, its text and its JSON."""
