"""Retention: keep rules, and what a policy of them keeps and removes, with a reason for every row.

The rules are neutral: what any of them keeps stays. The policy languages of vendors, with priorities and first matches,
are none of them.
"""

from quotasim.retention.evaluate import Evaluator, Selection
from quotasim.retention.rules import KeepMatching, KeepNewest, KeepRule, KeepYounger, RetentionPolicy

__all__ = ["Evaluator", "KeepMatching", "KeepNewest", "KeepRule", "KeepYounger", "RetentionPolicy", "Selection"]
