"""The parts of the router: templates, the tree, routes, groups, actions, invocation, URLs."""
