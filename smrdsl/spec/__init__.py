"""spec: from syntax trees to a checked model: names, arguments, expansion, shapes, edits. Imports no torch."""
