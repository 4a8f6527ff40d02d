"""The query patterns of the text_to_sql task, by how hard they are for a small model."""

from tune.data.text_to_sql.patterns.easy import EASY
from tune.data.text_to_sql.patterns.grouping import GROUPING
from tune.data.text_to_sql.patterns.hard import HARD
from tune.data.text_to_sql.patterns.medium import MEDIUM
from tune.data.text_to_sql.patterns.pattern import Level, Pattern, gold
from tune.data.text_to_sql.patterns.writing import WRITING

PATTERNS = (*EASY, *MEDIUM, *GROUPING, *WRITING, *HARD)

__all__ = ["PATTERNS", "Level", "Pattern", "gold"]
