"""lowering: a graph becomes layers, torch.fx modules and readable source. The only room that knows torch.fx."""
