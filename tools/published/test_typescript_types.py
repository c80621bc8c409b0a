"""Values are compared with types of TypeScript declarations, as they are in packages."""

import pytest
from typescript_types import Type, Types

TYPES = Types(
    """
/** A comment { with a brace. */
export type Point = { readonly x: number; y?: Maybe<Scalars['Int']['input']> };
type Scalars = { Int: { input: number; output: number } };
export declare enum Color { Red = "red", Blue = "blue" }
interface Named extends Tagged {
    "full-name": string; // a name
}
interface Tagged { tags: Array<Color>; rest: { [key: string]: boolean } }
type Shape = { kind: "circle"; radius: number } | { kind: "square"; side: number };
type Placed = Point & Shape;
"""
)


@pytest.mark.parametrize(
    ("name", "value", "problems"),
    [
        ("Point", {"x": 1, "y": None}, []),
        ("Point", {"x": "1", "z": 2}, ["x must be number", "z is not known"]),
        ("Point", {"y": True}, ["y must be number", "x is missing"]),
        ("Color", "green", [" must be 'red', not 'green'"]),
        ("Named", {"full-name": "a", "tags": ["red"], "rest": {"b": True}}, []),
        (
            "Named",
            {"full-name": "", "tags": "", "rest": {"b": 1}},
            ["tags must be a list", "rest.b must be boolean"],
        ),
        ("Shape", {"kind": "square", "side": 1}, []),
        ("Shape", {"kind": "square", "radius": 1, "side": 2}, ["radius is not known"]),
        ("Placed", {"x": 1, "kind": "circle", "radius": 2}, []),
        ("Placed", {"kind": "circle", "radius": 2}, ["x is missing"]),
    ],
)
def test_problems_of_a_value(name, value, problems):
    assert TYPES.problems(value, Type("name", (name,))) == problems


def test_with_optional_fields_nothing_is_missing():
    assert TYPES.problems({"radius": 2}, Type("name", ("Placed",)), optional=True) == []
