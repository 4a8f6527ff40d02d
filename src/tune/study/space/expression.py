"""A small language for what may not be run: `lora.rank > 32 and data.n_train < 500`.

    expression := comparison | key | true | false | expression and|or expression | not expression | (expression)
    comparison := sum (== | != | < | <= | > | >= | in | not in) sum, also chained: 8 < lora.rank < 64
    sum        := number | 'text' | key | null | [sum, ...] | -sum | sum (+ | - | * | / | // | %) sum

Keys are those of the configuration, with dots. Python's parser reads it; the tree is walked here and nothing is run.
Every part has a kind (number, text, truth, list), so that what can never be meant, `lora.rank > '32'`, is refused when
it is read. A key that is null, like a division by zero, makes every order (<, <=, >, >=) false.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tune.errors import ConfigError

_CONSTANTS = {"true": True, "false": False, "null": None}
_MOST_CHARACTERS = 1000
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_ORDERS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ALLOWED = "use keys, numbers, quoted texts, lists, == != < <= > >= in, + - * / // %, and, or, not, and parentheses"

Lookup = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Expression:
    """Something that is true or false of a point."""

    text: str
    """As it was written."""

    tree: ast.expr

    def is_true(self, value_of: Lookup) -> bool:
        """Return whether it is true where the keys have these values."""
        return bool(_value(self.tree, value_of))


def parse(text: Any, example: Lookup) -> Expression:
    """Return the expression.

    Args:
        text: As it was written.
        example: Returns a value that a key may have, from which its kind is seen; raises for a key that there is not.

    Raises:
        ConfigError: It cannot be read, has what the language has not, or is neither true nor false.
    """
    if not isinstance(text, str) or len(text) > _MOST_CHARACTERS:
        msg = f"sweep.reject={text!r:.200} is no expression: write one such as lora.rank > 32, or a list of them."
        raise ConfigError(msg)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # they are about Python
            tree = ast.parse(text.strip(), mode="eval").body
        kind = _Kinds(text.strip(), example).of(tree)
    except SyntaxError as error:
        msg = f"sweep.reject: `{text}` cannot be read at character {error.offset or 1}: {error.msg}. Here {_ALLOWED}."
        raise ConfigError(msg) from error
    except (ValueError, RecursionError, MemoryError) as error:
        msg = f"sweep.reject: `{text}` cannot be read: {error or 'too many parentheses'}. Here {_ALLOWED}."
        raise ConfigError(msg) from error
    if kind not in {"truth", "any"}:
        msg = f"sweep.reject: `{text}` is a {kind}, and must be true or false: compare it with something."
        raise ConfigError(msg)
    return Expression(text.strip(), tree)


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Tells the kind of each part, and refuses what has none."""

    text: str
    example: Lookup

    def of(self, node: ast.expr) -> str:  # noqa: PLR0911 - one line a form
        match node:
            case ast.Constant(value=value) if isinstance(value, bool | int | float | str | None):
                return _kind(value)
            case ast.Name() | ast.Attribute() if key := _key(node):
                return self._of_key(key)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return next((self._refuse(e) for e in elements if self.of(e) == "list"), "list")
            case ast.BoolOp(values=parts):
                return self._all(parts, "truth", result="truth")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._all([operand], "truth", result="truth")
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                return self._all([operand], "number", result="number")
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _ARITHMETIC:
                return self._all([left, right], "number", result="number")
            case ast.Compare():
                return self._of_comparison(node)
        return self._refuse(node)

    def _of_key(self, key: str) -> str:
        if key in _CONSTANTS:
            return _kind(_CONSTANTS[key])
        try:
            return _kind(self.example(key))
        except ConfigError as error:
            msg = f"sweep.reject: `{self.text}`: {error}"
            raise ConfigError(msg) from error

    def _all(self, parts: list[ast.expr], wanted: str, *, result: str) -> str:
        for part in parts:
            if (kind := self.of(part)) not in {wanted, "any"}:
                words = "must be true or false" if wanted == "truth" else "must be a number"
                msg = f"sweep.reject: `{ast.unparse(part)}` in `{self.text}` is a {kind} and {words} there."
                raise ConfigError(msg)
        return result

    def _of_comparison(self, node: ast.Compare) -> str:
        for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            kinds = {self.of(left), self.of(right)} - {"any"}
            if isinstance(op, ast.In | ast.NotIn):
                fits = self.of(right) in {"list", "any"} and self.of(left) != "list"
            elif type(op) in _ORDERS:
                fits = kinds <= {"number"}
            else:
                fits = isinstance(op, ast.Eq | ast.NotEq) and len(kinds) <= 1
            if not fits:
                one, other = ast.unparse(left), ast.unparse(right)
                msg = (
                    f"sweep.reject: `{self.text}` compares {one} ({self.of(left)}) with {other} ({self.of(right)}), "
                    "which is never meant: order numbers, compare what is of one kind, and look for a value in a list."
                )
                raise ConfigError(msg)
        return "truth"

    def _refuse(self, node: ast.expr) -> str:
        msg = f"sweep.reject: `{ast.unparse(node)}` in `{self.text}` is not allowed: {_ALLOWED}."
        raise ConfigError(msg)


def _key(node: ast.expr) -> str | None:
    """Return a name with its dots."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _key(node.value)):
        return f"{before}.{node.attr}"
    return None


def _kind(value: Any) -> str:
    if value is None:
        return "any"
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "list"


def _value(node: ast.expr, value_of: Lookup) -> Any:  # noqa: PLR0911
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_value(element, value_of) for element in elements]
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, value_of) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, value_of) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, value_of)
        case ast.UnaryOp(op=op, operand=operand):
            number = _number(_value(operand, value_of))
            return -number if isinstance(op, ast.USub) else number
        case ast.BinOp(op=op, left=left, right=right):
            return _arithmetic(op, _number(_value(left, value_of)), _number(_value(right, value_of)))
        case ast.Compare():
            return _comparison(node, value_of)
    key = _key(node)
    assert key is not None
    return _CONSTANTS[key] if key in _CONSTANTS else value_of(key)


def _comparison(node: ast.Compare, value_of: Lookup) -> bool:
    sides = [_value(side, value_of) for side in [node.left, *node.comparators]]
    return all(_compare(op, *pair) for op, *pair in zip(node.ops, sides, sides[1:], strict=False))


def _compare(op: ast.cmpop, left: Any, right: Any) -> bool:
    if type(op) in _ORDERS:
        return _ORDERS[type(op)](_number(left), _number(right))
    if isinstance(op, ast.In | ast.NotIn):
        return (left in (right or [])) is isinstance(op, ast.In)
    return bool(left == right) is isinstance(op, ast.Eq)


def _number(value: Any) -> float:
    """Return a number; null is none, and compares as false."""
    return value if isinstance(value, int | float) else math.nan


def _arithmetic(op: ast.operator, left: float, right: float) -> float:
    try:
        result: float = _ARITHMETIC[type(op)](left, right)
    except (ZeroDivisionError, OverflowError):
        return math.nan
    return result
