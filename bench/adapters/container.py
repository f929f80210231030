"""The container's half: resolve the graph, shared classes bound as singletons."""

from so.container import Container


def container(graph, shared):
    app = Container()
    for cls in shared:
        app.singleton(cls)
    return app.make
