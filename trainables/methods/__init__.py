"""Ways of training, as values made of parts: what trains, an adapter, a penalty, a projection of the gradient."""
