"""Values to try a schema with: valid ones, and some that are a little or very wrong."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Schema = Mapping[str, Any]
Values = st.SearchStrategy[Any]

FAR = 2**60
RARELY = 12
TEXT = st.characters(exclude_categories=["Cs"])
JUNK: Values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(TEXT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(TEXT, max_size=5), inner, max_size=3),
    max_leaves=5,
)


def near(document: Schema, name: str) -> Values:
    """Return instances of a definition, and similar values."""
    return _Nearby(document).of({"$ref": f"#/$defs/{name}"})


def _mostly(right: Values, *wrong: Values) -> Values:
    """Return values that are wrong so rarely that whole objects can be right."""
    return st.integers(1, RARELY).flatmap(lambda dice: st.one_of(wrong) if dice == RARELY else right)


class _Nearby:
    def __init__(self, document: Schema) -> None:
        self._defs = document["$defs"]

    def of(self, shape: Any) -> Values:
        return _mostly(self._like(shape), st.none(), JUNK)

    def _like(self, shape: Any) -> Values:
        if "$ref" in shape:
            return self._like(self._defs[shape["$ref"].removeprefix("#/$defs/")])
        if "anyOf" in shape:
            return st.one_of([self._like(each) for each in shape["anyOf"]])
        if "enum" in shape:
            return st.sampled_from(shape["enum"])
        kinds = shape["type"] if isinstance(shape["type"], list) else [shape["type"]]
        return st.one_of([getattr(self, f"_{kind}")(shape) for kind in kinds])

    def _null(self, _shape: Schema) -> Values:
        return st.none()

    def _boolean(self, _shape: Schema) -> Values:
        return st.booleans()

    def _integer(self, shape: Schema) -> Values:
        low, high = shape.get("minimum", -FAR), shape.get("maximum", FAR)
        edges = st.sampled_from([low, high])
        return _mostly(st.integers(low, high) | edges | edges.map(float), st.sampled_from([low - 1, high + 1]))

    def _number(self, shape: Schema) -> Values:
        low, high = shape.get("minimum", -1e300), shape.get("maximum", 1e300)
        return _mostly(st.floats(low, high) | st.sampled_from([low, high]), st.sampled_from([low - 0.5, high + 1]))

    def _string(self, shape: Schema) -> Values:
        low, high = shape.get("minLength", 0), shape.get("maxLength", 50)
        clean = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
        edges = st.sampled_from([low, high]).map(lambda length: "é" * length)
        wrong = st.sampled_from(["x" * (high + 1), "x" * max(0, low - 1), "\0" * max(1, low)])
        return _mostly(st.text(clean, min_size=low, max_size=min(high, 20)) | edges, wrong)

    def _array(self, shape: Schema) -> Values:
        high = shape.get("maxItems", 3)
        lengths = st.sampled_from([0, high, high + 1])
        edges = st.builds(lambda length, item: [item] * length, lengths, self._like(shape["items"]))
        return st.lists(self.of(shape["items"]), max_size=3) | edges

    def _object(self, shape: Schema) -> Values:
        if "additionalProperties" in shape:
            keys = st.text(TEXT, min_size=1, max_size=3) | st.sampled_from(["a", "b", "k" * 128, "", "k" * 129, "\0"])
            return st.dictionaries(keys, self.of(shape["additionalProperties"]), max_size=3)
        fields = {name: self.of(each) for name, each in shape.get("properties", {}).items()}
        required = {name: fields.pop(name) for name in shape.get("required", [])}
        whole = st.fixed_dictionaries(required, optional=fields)
        torn = st.fixed_dictionaries({}, optional={**required, **fields})
        unknown = st.dictionaries(st.text(TEXT, max_size=3), JUNK, max_size=1)
        return st.builds(lambda found, more: {**more, **found}, _mostly(whole, torn), unknown)
