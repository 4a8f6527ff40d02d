"""Which databases the text_to_sql task asks about, and which split may see each.

Validation and test each keep three domains that training never shows, and not
the same three: an adapter chosen on validation has not seen test's either.
"""

from tune.data.text_to_sql.held_out_schemas import TEST_SCHEMAS, VALIDATION_SCHEMAS
from tune.data.text_to_sql.train_schemas import TRAIN_SCHEMAS

SCHEMAS = (*TRAIN_SCHEMAS, *VALIDATION_SCHEMAS, *TEST_SCHEMAS)

__all__ = ["SCHEMAS", "TEST_SCHEMAS", "TRAIN_SCHEMAS", "VALIDATION_SCHEMAS"]
