"""The parts of the router: templates, the tree, routes, groups, actions, invocation, URLs.

Read in this order: template.py (`{id}` in a URI), trie.py (finding), route.py, groups.py,
verbs.py (registering), actions.py and invocation.py (calling), urls.py (the way back).
"""
