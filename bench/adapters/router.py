"""The router for the side-by-side benchmark: the table as given, matched by `Router.find`."""

from collections.abc import Callable, Iterable, Mapping

from so.http.router import Router


def action() -> str:
    return ""


def router(
    routes: Iterable[tuple[str, str, str]],
) -> Callable[[str, str], tuple[str, Mapping[str, str]] | None]:
    table = Router()
    for method, template, name in routes:
        table.match(method, template, action).name(name)
    find = table.find

    def match(method: str, path: str) -> tuple[str, Mapping[str, str]] | None:
        found = find(method, path)
        return None if found is None else (found[0].route_name, found[1])

    return match
