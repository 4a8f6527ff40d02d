"""Which pattern, schema and phrasing each split may combine.

Training never shows what validation and test are about: their schemas, one
phrasing of every pattern each, and one training schema of every pattern each.
"""

import functools
import random
from dataclasses import dataclass
from typing import Literal

from tune.data.text_to_sql.patterns import PATTERNS, Pattern
from tune.data.text_to_sql.schemas import TEST_SCHEMAS, TRAIN_SCHEMAS, VALIDATION_SCHEMAS
from tune.data.text_to_sql.slots import Slots, join_slots, table_slots
from tune.data.text_to_sql.tables import Schema, Table

Split = Literal["train", "validation", "test"]
Novelty = Literal["none", "schema", "phrasing", "combination"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
NEW_SCHEMAS = {"validation": VALIDATION_SCHEMAS, "test": TEST_SCHEMAS}
NEW_PHRASING = {"validation": -2, "test": -1}


@dataclass(frozen=True, kw_only=True, slots=True)
class Allotment:
    """What one kind of example may be made of."""

    schemas: tuple[Schema, ...]
    phrasings: tuple[str, ...]


def allot(pattern: Pattern, split: Split, novelty: Novelty) -> Allotment:
    """Return the schemas and phrasings of this pattern for examples of this split and novelty."""
    known = _schemas_for(pattern, "train")
    if novelty == "schema":
        fitting = tuple(schema for schema in NEW_SCHEMAS[split] if fits(pattern, schema))
        return Allotment(schemas=fitting, phrasings=pattern.train_phrasings)
    if novelty == "phrasing":
        return Allotment(schemas=known, phrasings=(pattern.phrasings[NEW_PHRASING[split]],))
    return Allotment(schemas=_schemas_for(pattern, split), phrasings=pattern.train_phrasings)


def fits(pattern: Pattern, schema: Schema) -> bool:
    """Return whether the schema can fill every gap of the pattern."""
    return bool(_fitting_tables(pattern, schema))


def fill(pattern: Pattern, schema: Schema, rng: random.Random) -> Slots:
    """Return one filling for the gaps of a pattern that fits the schema."""
    table = rng.choice(_fitting_tables(pattern, schema))
    return join_slots(schema, rng) if pattern.joins else table_slots(schema, table, rng)


@functools.cache
def _fitting_tables(pattern: Pattern, schema: Schema) -> tuple[Table, ...]:
    """Return the tables a pattern can ask about; the first table stands for both when it joins."""
    any_rng = random.Random(schema.name)  # noqa: S311 - only the names of the gaps are looked at
    if pattern.joins:
        joinable = len(schema.tables) > 1 and pattern.gaps <= join_slots(schema, any_rng).keys()
        return schema.tables[:1] if joinable else ()
    return tuple(table for table in schema.tables if pattern.gaps <= table_slots(schema, table, any_rng).keys())


@functools.cache
def _schemas_for(pattern: Pattern, split: Split) -> tuple[Schema, ...]:
    """Return the training schemas that only this split may ask this pattern about.

    Which two schemas a pattern keeps from training moves on with its place in
    the list, so that every schema is kept back for some patterns.
    """
    fitting = [schema for schema in TRAIN_SCHEMAS if fits(pattern, schema)]
    place = PATTERNS.index(pattern)
    for_validation = fitting[place % len(fitting)]
    for_test = fitting[(place + len(fitting) // 2) % len(fitting)]
    if split == "train":
        return tuple(schema for schema in fitting if schema not in (for_validation, for_test))
    return (for_validation,) if split == "validation" else (for_test,)
