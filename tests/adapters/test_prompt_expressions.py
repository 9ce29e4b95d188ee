"""Scopes: which names a node may use."""

from __future__ import annotations

from gateway.adapters.prompt_expressions import Place, Scope
from gateway.adapters.prompt_files import Source


def scope() -> Scope:
    source = Source("a", "a", "", "")
    return Scope(source, Place.OUTSIDE, {"x"}, {"m"}, ("a",))


def test_a_name_set_inside_ends_there() -> None:
    outer = scope()
    inner = outer.inner({"y"}, Place.MESSAGE)

    inner.names.add("z")

    assert outer.names == {"x"}
    assert outer.place is Place.OUTSIDE
    assert inner.names == {"x", "y", "z"}
    assert inner.place is Place.MESSAGE


def test_a_name_that_hides_a_macro_cannot_be_called() -> None:
    assert scope().inner({"m"}).macros == set()
    assert scope().inner({"y"}).macros == {"m"}
