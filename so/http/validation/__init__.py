"""Checking what came in: `validate(data, {'email': 'required|email'})`.

Rules, their meaning and their messages are Laravel's; so/http/validation/registry.py holds the
table they stand in. What `unique` and `exists` need of a database is handed in by the
application.

Read in this order: validator.py (a run), fields.py (what is checked, and where), spec.py (from
text to checks), registry.py and the modules of rules, messages.py.
"""

from so.errors import InvalidRuleError, ValidationException
from so.http.validation import (
    compare_rules,
    conditional_rules,
    date_rules,
    file_rules,
    number_rules,
    presence_rules,
    text_rules,
)
from so.http.validation.builders import Rule
from so.http.validation.presence import Presence, PresenceCondition, Target
from so.http.validation.registry import RULES
from so.http.validation.validator import Safe, Validation, Validator, validate

__all__ = [
    "RULES",
    "InvalidRuleError",
    "Presence",
    "Rule",
    "Safe",
    "Target",
    "Validation",
    "ValidationException",
    "Validator",
    "PresenceCondition",
    "compare_rules",
    "conditional_rules",
    "date_rules",
    "file_rules",
    "number_rules",
    "presence_rules",
    "text_rules",
    "validate",
]
