"""The search space of a sweep: which keys vary, and over what."""

from tune.study.space.dimension import Choices, Condition, Dimension, Point, Span, Tied, Value, parameter
from tune.study.space.draw import meant
from tune.study.space.whole import (
    Space,
    cells,
    configured,
    describe,
    grid,
    nothing_left,
    parse_space,
    passing,
    read_space,
    suggest,
)

__all__ = [
    "Choices",
    "Condition",
    "Dimension",
    "Point",
    "Space",
    "Span",
    "Tied",
    "Value",
    "cells",
    "configured",
    "describe",
    "grid",
    "meant",
    "nothing_left",
    "parameter",
    "parse_space",
    "passing",
    "read_space",
    "suggest",
]
