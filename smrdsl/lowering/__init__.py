"""lowering: a graph becomes layers, torch.fx modules and readable source. Only this room knows torch.fx."""
