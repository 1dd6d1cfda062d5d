"""plan: how each core is executed: candidates, what they are predicted to cost, the choice and its reason."""
