"""Values of benchmark programs as text, and back: more kinds and more of each than plain values.

The text is JSON on one line. None, bool, int, float (nan and infinities too), str and list are
JSON's own; {"tuple": [...]} and the like stand for the other built-in and `collections` types, and
for numpy's scalars. Types are exact, so an object with an `__eq__` of its own never gets out of its
process: it arrives as an `Opaque`. Of a value with a long text only a digest leaves the process.
Standard library only: the confined process loads this file too.
"""

import hashlib
import json
import marshal
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass

MAX_ITEMS = 100_000  # of all containers together, in a value that is no digest
MAX_TEXT = 500_000  # characters of its text, roughly
MAX_DEPTH = 100  # nested containers
MAX_RANGE = 1_000_000
MAX_SAME_HASH = 100  # items of one set or dict; forged ones could take hours to be put together
PLAIN_INT_BITS = 1_000
NUMPY_SCALARS = frozenset(
    "bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 "
    "complex64 complex128".split()
)
SEQUENCES = {tuple: "tuple", set: "set", frozenset: "frozenset", deque: "deque"}
MAPPINGS = {dict: "dict", OrderedDict: "OrderedDict", Counter: "Counter", defaultdict: "dict"}
READ_ERRORS = (ValueError, TypeError, KeyError, OverflowError, RecursionError, MemoryError)


@dataclass(frozen=True, eq=False)
class Opaque:
    """Stands for a value of another type, of which only the type's name is known."""

    type_name: str


@dataclass(frozen=True)
class Digest:
    """Stands for a value too long to be written: equal values have equal digests."""

    sha256: str


class TooLarge(ValueError):
    """A value of which only the digest is written."""


def canonical(value: object) -> str:
    """The text of a value, one line; ValueError where it is nested too deep.

    A large value becomes a digest; ValueError where it has parts that are opaque.
    """
    try:
        tree = _Writer().tree(value, MAX_DEPTH)
    except TooLarge:
        tree = {"digest": digest(value).sha256}
    return json.dumps(tree)


def same(a: object, b: object) -> bool:
    """Whether two values are equal by Python's ==, where one or both may be digests."""
    if isinstance(a, Digest) == isinstance(b, Digest):
        return bool(a == b)
    found, value = (a, b) if isinstance(a, Digest) else (b, a)
    try:
        return found == digest(value)
    except ValueError:  # an opaque part
        return False


def digest(value: object) -> Digest:
    """The digest of a value; ValueError for one with opaque parts or nested too deep.

    As Python's == has it, a whole number is the same as int, float or bool.
    """
    # Version 0 of marshal writes equal values as equal bytes, refuses subclasses, and is fast.
    data = marshal.dumps(_numbers_alike(value, MAX_DEPTH), 0)
    return Digest(hashlib.sha256(data).hexdigest())


def _numbers_alike(value: object, depth: int) -> object:
    kind = type(value)
    if depth < 0:
        raise ValueError("a value too deep")
    if kind is float or kind is bool:
        return int(value) if value % 1 == 0 else value
    if kind is list or kind is tuple:
        kinds = set(map(type, value))
        if kinds <= {int, str, bytes}:
            return value
        if kinds <= {int, float, bool}:
            return kind([int(item) if item % 1 == 0 else item for item in value])
        return kind([_numbers_alike(item, depth - 1) for item in value])
    if kind is set or kind is frozenset:
        return "set", sorted(marshal.dumps(_numbers_alike(item, depth - 1), 0) for item in value)
    if kind in MAPPINGS:
        pairs = ((key, _numbers_alike(item, depth - 1)) for key, item in dict.items(value))
        return "dict", sorted(marshal.dumps((_numbers_alike(k, depth - 1), v), 0) for k, v in pairs)
    return value


def parse(text: str) -> object:
    """The value of a text that `canonical` wrote; ValueError for any other text."""
    try:
        return _value(json.loads(text))
    except READ_ERRORS as error:
        raise ValueError(f"not the text of a value: {type(error).__name__}") from None


class _Writer:
    """Makes the tree of one value and stops as soon as it grows too large."""

    def __init__(self):
        self.items, self.characters = MAX_ITEMS, MAX_TEXT

    def tree(self, value: object, depth: int) -> object:
        self.items -= 1
        if depth < 0:
            raise ValueError("a value too deep")
        if self.items < 0:
            raise TooLarge
        kind = type(value)  # exact types: a subclass may lie about itself
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            short = value.bit_length() <= PLAIN_INT_BITS
            if value.bit_length() > 4 * MAX_TEXT:
                raise TooLarge
            return value if short else {"int": self.counted(format(value, "x"))}
        if kind is str:
            return self.counted(value)
        if kind is bytes or kind is bytearray:
            return {kind.__name__: self.counted(value.hex())}
        if kind is list:
            return [self.tree(item, depth - 1) for item in value]
        if kind in SEQUENCES:
            return {SEQUENCES[kind]: [self.tree(item, depth - 1) for item in value]}
        if kind in MAPPINGS:
            pairs = [self.tree([key, item], depth - 1) for key, item in dict.items(value)]
            return {MAPPINGS[kind]: pairs}
        if kind is complex:
            return {"complex": [value.real, value.imag]}
        if kind is range:
            return {"range": [value.start, value.stop, value.step]}
        if kind.__module__ == "numpy" and kind.__name__ in NUMPY_SCALARS:
            return {"numpy": [kind.__name__, self.tree(value.item(), depth - 1)]}
        return {"opaque": self.counted(str(kind.__name__)[:80])}

    def counted(self, text: str) -> str:
        self.characters -= len(text)
        if self.characters < 0:
            raise TooLarge
        return text


def _value(tree: object) -> object:
    if type(tree) is list:
        return [_value(item) for item in tree]
    if type(tree) is not dict:
        return tree
    ((kind, content),) = tree.items()
    match kind:
        case "tuple":
            return tuple(map(_value, content))
        case "set":
            return set(_distinct(map(_value, content)))
        case "frozenset":
            return frozenset(_distinct(map(_value, content)))
        case "deque":
            return deque(map(_value, content))
        case "dict" | "OrderedDict" | "Counter":
            keys = _distinct(_value(key) for key, _ in content)
            mapping = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}[kind]
            return mapping(dict(zip(keys, (_value(item) for _, item in content), strict=True)))
        case "int":
            return int(content, 16)
        case "bytes" | "bytearray":
            return {"bytes": bytes, "bytearray": bytearray}[kind].fromhex(content)
        case "complex":
            return complex(*content)
        case "range":
            made = range(*content)
            if len(made) > MAX_RANGE:
                raise ValueError("a range too long to be looked at")
            return made
        case "numpy":
            return _numpy_scalar(*content)
        case "digest":
            return Digest(str(content)[:64])
        case "opaque":
            return Opaque(str(content)[:80])
    raise ValueError(f"unknown kind {kind[:20]}")


def _numpy_scalar(name: str, content: object) -> object:
    if name not in NUMPY_SCALARS:
        raise ValueError("not a scalar of numpy")
    import numpy  # only where such a value was returned

    return getattr(numpy, name)(_value(content))


def _distinct(items) -> list:
    """The items, if no forger chose them to have one hash."""
    items = list(items)
    hashes = Counter(map(hash, items))
    if hashes and max(hashes.values()) > MAX_SAME_HASH:
        raise ValueError("too many items with one hash")
    return items
