"""The part of CloudWatch's metric math that the library's dashboards and alarms use.

That is numbers, ids of other queries, `+ - * /`, parentheses, `FILL(id, number)` and `PERIOD(id)`. Everything else is
refused by its name.
"""

import operator
import re
from collections.abc import Callable

from onnx_inference.local.cloudwatch.series import Series, Window

Value = float | Series

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|([A-Za-z_]\w*)|(.))")
_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


class NotEvaluated(ValueError):
    """An expression uses something that is not evaluated here; the message names it."""


def evaluate(expression: str, window: Window, lookup: Callable[[str], Series]) -> Series:
    """The value of an expression in each period.

    A period has no value when one of the operands has none there, or after a division by zero, as in CloudWatch.

    Args:
        expression: The expression.
        window: The periods.
        lookup: Gives the series of another query by its id; raises `KeyError` when there is none.

    Raises:
        NotEvaluated: It uses something that is not evaluated here, or an unknown id.
    """
    value = _Parser(expression, window, lookup).parse()
    if isinstance(value, float):
        return Series(window, dict.fromkeys(range(window.count), value))
    return value


class _Parser:
    def __init__(self, expression: str, window: Window, lookup: Callable[[str], Series]) -> None:
        self._tokens = [match.group().strip() for match in _TOKEN.finditer(expression) if match.group().strip()]
        self._at = 0
        self._expression = expression
        self._window = window
        self._lookup = lookup

    def parse(self) -> Value:
        value = self._sum()
        if self._peek() is not None:
            raise self._unknown(self._peek())
        return value

    def _sum(self) -> Value:
        value = self._product()
        while (sign := self._peek()) in ("+", "-"):
            self._next()
            value = self._apply(str(sign), value, self._product())
        return value

    def _product(self) -> Value:
        value = self._factor()
        while (sign := self._peek()) in ("*", "/"):
            self._next()
            value = self._apply(str(sign), value, self._factor())
        return value

    def _factor(self) -> Value:
        token = self._next()
        if token == "-":
            return self._apply("*", -1.0, self._factor())
        if token == "(":
            value = self._sum()
            self._expect(")")
            return value
        if token[0].isdigit():
            return float(token)
        if not (token[0].isalpha() or token[0] == "_"):
            raise self._unknown(token)
        return self._call(token) if self._peek() == "(" else self._series(token)

    def _call(self, function: str) -> Value:
        if function not in ("FILL", "PERIOD"):
            raise NotEvaluated(f"{self._expression!r} uses {function}, which is not evaluated here")
        self._expect("(")
        argument = self._sum()
        if not isinstance(argument, Series):
            raise self._unknown(function)
        if function == "PERIOD":
            self._expect(")")
            return float(self._window.period)
        self._expect(",")
        filler = self._sum()
        self._expect(")")
        if not isinstance(filler, float):
            raise self._unknown(function)
        return Series(self._window, {n: argument.points.get(n, filler) for n in range(self._window.count)})

    def _series(self, identifier: str) -> Series:
        try:
            return self._lookup(identifier)
        except KeyError:
            raise NotEvaluated(f"{self._expression!r} uses {identifier}, which is not among the metrics") from None

    def _apply(self, sign: str, left: Value, right: Value) -> Value:
        apply = _OPERATORS[sign]
        if isinstance(left, float) and isinstance(right, float):
            if sign == "/" and right == 0:
                raise NotEvaluated(f"{self._expression!r} divides by zero")
            return apply(left, right)
        points = {}
        for number in range(self._window.count):
            a = left if isinstance(left, float) else left.points.get(number)
            b = right if isinstance(right, float) else right.points.get(number)
            if a is not None and b is not None and not (sign == "/" and b == 0):
                points[number] = apply(a, b)
        return Series(self._window, points)

    def _peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> str:
        token = self._peek()
        if token is None:
            raise NotEvaluated(f"{self._expression!r} ends too early")
        self._at += 1
        return token

    def _expect(self, wanted: str) -> None:
        token = self._next()
        if token != wanted:
            raise self._unknown(token)

    def _unknown(self, token: str | None) -> NotEvaluated:
        return NotEvaluated(f"{self._expression!r} is not evaluated here because of {token!r}")
