"""Pictures of models: the parts of a graph, the scene they make, and its forms (DOT, SVG, Mermaid, ...)."""
