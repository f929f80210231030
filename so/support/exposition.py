"""Figures as monitoring systems read them: the text format of Prometheus, and OpenMetrics.

A family is one metric with its meaning, and a sample for each set of labels. Both formats say the
same; they differ in where `_total` stands, in what is escaped, and in the last line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


@dataclass
class Family:
    """One metric: *kind* is counter, gauge or histogram; a counter's name is without `_total`."""

    name: str
    kind: str
    meaning: str
    samples: list[tuple[str, Labels, float]] = field(default_factory=list)
    """(suffix of the name, labels, value); `add()` and `add_buckets()` know the suffixes."""

    def add(self, value: float, **labels: str) -> Family:
        """A sample of a counter or gauge; itself."""
        self.samples.append(("_total" if self.kind == "counter" else "", labels, value))
        return self

    def add_buckets(
        self, bounds: Sequence[float], counts: Sequence[float], total: float, **labels: str
    ) -> Family:
        """The samples of a histogram: how many fell to each of *bounds* and beyond; their sum."""
        below = 0.0
        for bound, count in zip((*bounds, math.inf), counts, strict=True):
            below += count
            self.samples.append(("_bucket", {**labels, "le": _number(bound)}, below))
        self.samples += [("_sum", labels, total), ("_count", labels, below)]
        return self


def gauge(name: str, meaning: str, value: float | None = None) -> Family:
    """A figure that goes up and down, with one sample without labels if *value* is given."""
    family = Family(name, "gauge", meaning)
    return family if value is None else family.add(value)


def counter(name: str, meaning: str, value: float | None = None) -> Family:
    """A figure that only grows; *name* is without `_total`."""
    family = Family(name, "counter", meaning)
    return family if value is None else family.add(value)


def prometheus(families: Iterable[Family]) -> str:
    """*families* in the text format 0.0.4 of Prometheus."""
    return "".join(_written(family, open_metrics=False) for family in families)


def open_metrics(families: Iterable[Family]) -> str:
    """*families* as OpenMetrics 1.0."""
    return "".join([*(_written(family, open_metrics=True) for family in families), "# EOF\n"])


def _written(family: Family, *, open_metrics: bool) -> str:
    is_total = family.kind == "counter" and not open_metrics
    name = f"{family.name}_total" if is_total else family.name
    meaning = family.meaning.replace("\\", "\\\\").replace("\n", "\\n")
    if open_metrics:
        meaning = meaning.replace('"', '\\"')
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} {family.kind}"]
    for suffix, labels, value in family.samples:
        lines.append(f"{family.name}{suffix}{_labels(labels)} {_number(value)}")
    return "\n".join([*lines, ""])


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    # A lone surrogate is no UTF-8, and one bad name must not cost the whole page.
    clean = text.encode("utf-8", "replace").decode()
    return clean.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) else repr(float(value))
