"""A Ray cluster: the connection to it, what its nodes can give and see, and examples of clusters to edit."""
