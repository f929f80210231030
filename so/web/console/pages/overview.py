"""Overview: what is in order and what is not, and the figures of the last day."""

from __future__ import annotations

from typing import Any

from so.http.request import Request
from so.settings.console import ConsoleSettings
from so.support.markup import Markup, h, join
from so.web.console import health
from so.web.console.history import History
from so.web.console.parts import chart, code, figure, light, section

TITLE = "Overview"


def data(app: Any, request: Request) -> dict[str, Any]:
    """Lights, figures, lines."""
    facts = health.Facts(app)
    found = health.lights(app, facts)
    day = History(app, app.settings(ConsoleSettings)).day()
    ms = [
        None if total is None or not count else total / count
        for total, count in zip(day.rate("request_ms"), day.rate("requests"), strict=True)
    ]
    return {
        "state": health.worst(found),
        "lights": [vars(one) for one in found],
        "figures": health.figures(facts),
        "capped": health.is_capped(facts),
        "day": {
            "throughput": {"done": day.rate("done"), "failed": day.rate("failed")},
            "wait": {"p50": day.quantile("wait", 0.5), "p95": day.quantile("wait", 0.95)},
            "run": {"p50": day.quantile("run", 0.5), "p95": day.quantile("run", 0.95)},
            "sessions": {"active": day.level("sessions")},
            "cache": {"hits": day.share("cache_hits", "cache_misses")},
            "requests": {"all": day.rate("requests"), "errors": day.rate("errors")},
            "time": {"mean": ms},
        },
    }


CAPPED = "or more: so many are counted"
CHARTS = (
    ("throughput", "Jobs a minute", "/queue", ""),
    ("wait", "Seconds a job waits", "/queue", " s"),
    ("run", "Seconds a job runs", "/queue", " s"),
    ("requests", "Requests a minute", "/requests", ""),
    ("time", "Milliseconds a request", "/requests", " ms"),
    ("sessions", "Active sessions", "/sessions", ""),
    ("cache", "Cache hits in per cent", "/cache", " %"),
)


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Lights above, figures below."""
    lights = [
        h(
            "li",
            h("b", h("a", one["name"], href=view.url(one["path"]))),
            light(one["state"]),
            h("p", code(one["text"])),
        )
        for one in data["lights"]
    ]
    figures = [
        figure(name, value, view.url(path), CAPPED if number == 0 and data["capped"] else None)
        for number, (name, (value, path)) in enumerate(data["figures"].items())
    ]
    charts = [
        chart(title, data["day"][name], view.url(path), unit) for name, title, path, unit in CHARTS
    ]
    return join(
        [
            section("State", h("ul", lights, class_="lights"), id="lights"),
            h("div", figures, class_="grid", id="figures", data_live=True),
            h("h2", "The last 24 hours"),
            h("div", charts, class_="grid four", id="charts", data_live=True),
        ]
    )
