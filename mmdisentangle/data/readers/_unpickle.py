"""A reader of pickles that runs nothing: a small stack machine that knows numpy arrays and plain containers only.

The standard unpickler calls whatever a file names and allocates whatever a file declares. This one looks names up in a
table of stand-ins (``PERMITTED``), never imports, calls or sets an attribute of anything else, and takes bytes from the
file by position, so that no declared size is believed before it is checked against the size of the file.
"""

import codecs
import mmap
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from mmdisentangle._core.errors import DataError, UnsafePickleError
from mmdisentangle.data.readers._pickled_tree import resolve
from mmdisentangle.data.readers._pickled_values import PERMITTED, LongText, Name, PickledArray, PickledDtype, key

# Longer bytes are views of the mapped file; as a rule they are arrays.
_LONG = 4096
_SIZED = (str, bytes, memoryview, LongText, list, tuple)
_STRING = re.compile(rb"(?:[^\\]++|\\(?:[\\'\"nrt]|x[0-9a-fA-F]{2}))*+", re.DOTALL)
_MALFORMED = (IndexError, KeyError, TypeError, ValueError, OverflowError, struct.error, RecursionError)


def read_pickle(path: Path) -> Any:
    """Return what a pickle holds: dicts, lists, tuples, sets, texts, bytes, numbers and numpy arrays.

    Numpy arrays are read-only views of the mapped file: they cost no memory until they are used. Python 2 strings come
    as text, decoded as latin-1.

    Raises:
        UnsafePickleError: the file names anything else, or uses an instruction that data never needs.
        DataError: the file is cut off or is no pickle.
    """
    with path.open("rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise DataError(f"{path} is empty.") from error
    machine = _Machine(content)
    try:
        return resolve(machine.run())
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{path} is refused, and nothing in it was run: {error}.") from None
    except DataError as error:
        raise DataError(f"{path} is not a pickle of plain data: at byte {machine.position}, {error}.") from None
    except _MALFORMED as error:
        raise DataError(
            f"{path} is not a whole pickle: it makes no sense at byte {machine.position} of {len(content)} "
            f"({type(error).__name__}); get the file again."
        ) from None


class _Machine:
    """One run over one file. Every instruction is a method without an argument; ``_INSTRUCTIONS`` says which."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content = content
        self.view = memoryview(content)
        self.position = 0
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        # Everything that copies is paid for: a few bytes that have one large text copied again and again run out.
        self.allowance = 16 * len(self.view) + 2**20

    def run(self) -> Any:
        while True:
            code = self.take(1)[0]
            if code == pickle.STOP[0]:
                return self.stack.pop()
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                self.refuse_instruction(code)
            instruction(self)

    def refuse_instruction(self, code: int) -> NoReturn:
        name = _FORBIDDEN.get(code)
        if name is None:
            raise DataError(f"0x{code:02x} is no instruction of a pickle")
        raise UnsafePickleError(
            f"it uses the instruction {name} at byte {self.position - 1}, which plain data never needs"
        )

    # Taking bytes and numbers from the file.

    def take(self, count: int) -> memoryview:
        start, self.position = self.position, self.position + count
        if not 0 <= count <= len(self.view) - start:
            self.position = start
            raise DataError(f"{count} bytes should follow and {len(self.view) - start} are left: the file is cut off")
        return self.view[start : self.position]

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def line(self) -> bytes:
        end = self.content.find(b"\n", self.position)
        if end < 0:
            raise DataError("a line has no end: the file is cut off")
        line = bytes(self.take(end - self.position))
        self.position += 1
        return line

    def pay(self, size: int) -> None:
        self.allowance -= size
        if self.allowance < 0:
            raise DataError("it makes far more out of its bytes than a file of arrays does")

    # Instructions that push a value.

    def text(self, size: int) -> None:
        self.stack.append(str(self.take(self.number(size)), "utf-8", "surrogatepass"))

    def raw(self, size: int) -> None:
        raw = self.take(self.number(size))
        self.stack.append(bytes(raw) if len(raw) < _LONG else raw)

    def old_string(self, size: int) -> None:
        raw = self.take(self.number(size))
        self.stack.append(str(raw, "latin1") if len(raw) < _LONG else LongText(raw))

    def quoted_string(self) -> None:
        line = self.line()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"') or not _STRING.fullmatch(line[1:-1]):
            raise DataError("a string has no quotes around it")
        self.stack.append(str(codecs.escape_decode(line[1:-1])[0], "latin1"))

    def decimal(self) -> None:
        line = self.line()
        self.stack.append(line == b"01" if line in (b"00", b"01") else int(line.removesuffix(b"L")))

    # Instructions that gather.

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def gathered(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise DataError("a tuple lacks items")
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.stack.append(items)

    def top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise DataError(f"items are added to a {type(self.stack[-1]).__name__} as to a {kind.__name__}")
        return self.stack[-1]

    def append(self) -> None:
        item = self.stack.pop()
        self.top(list).append(item)

    def extend(self) -> None:
        items = self.gathered()
        self.top(list).extend(items)

    def set_item(self) -> None:
        value, name = self.stack.pop(), self.stack.pop()
        self.top(dict)[key(name)] = value

    def set_items(self) -> None:
        items = self.gathered()
        self.top(dict).update(_pairs(items))

    def add_items(self) -> None:
        items = self.gathered()
        self.top(set).update(key(item) for item in items)

    # Instructions that name, call and build: here a pickle could do harm, and here it cannot.

    def global_name(self) -> None:
        module, name = str(self.line(), "utf-8"), str(self.line(), "utf-8")
        self.find(module, name)

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.find(module, name)

    def find(self, module: object, name: object) -> None:
        if type(module) is not str or type(name) is not str:
            raise UnsafePickleError("it names a global by something other than text")
        found = PERMITTED.get((module, name))
        if found is None:
            raise UnsafePickleError(
                f"it asks for {f'{module[:60]}.{name[:60]}'!r}, which is neither a numpy array nor a plain container; "
                "if you trust its author, load it yourself and save plain numpy arrays"
            )
        self.stack.append(found)

    def reduce(self) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if type(name) is not Name or name.call is None or type(arguments) is not tuple:
            raise UnsafePickleError(f"it calls a {type(name).__name__}, which is not one of the permitted functions")
        self.pay(sum(8 * len(part) for part in arguments if isinstance(part, _SIZED)))
        self.stack.append(name.call(*arguments))

    def build(self) -> None:
        state, thing = self.stack.pop(), self.stack[-1]
        if type(thing) is PickledArray:
            self.pay(thing.build(state))
        elif type(thing) is PickledDtype:
            thing.build(state)
        else:
            raise UnsafePickleError(f"it sets the state of a {type(thing).__name__}; only arrays have one")

    def push_gathered(self, make: Callable[[list[Any]], Any]) -> None:
        items = self.gathered()
        self.stack.append(make(items))

    def frame(self) -> None:
        size = self.number(8)
        if size > len(self.view) - self.position:
            raise DataError(f"a frame of {size} bytes should follow: the file is cut off")

    def protocol(self) -> None:
        version = self.take(1)[0]
        if version > pickle.HIGHEST_PROTOCOL:
            raise DataError(f"it says that it is a pickle of protocol {version}, which does not exist yet")


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return {key(name): value for name, value in zip(items[::2], items[1::2], strict=True)}


def _push(value: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(value(machine))


def _remember(index: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    return lambda machine: machine.memo.__setitem__(index(machine), machine.stack[-1])


# Small integers and dictionaries hold the memo: an enormous index costs nothing.
_INSTRUCTIONS: dict[int, Callable[[_Machine], Any]] = {
    code[0]: instruction
    for code, instruction in (
        (pickle.PROTO, _Machine.protocol),
        (pickle.FRAME, _Machine.frame),
        (pickle.NONE, _push(lambda m: None)),
        (pickle.NEWTRUE, _push(lambda m: True)),
        (pickle.NEWFALSE, _push(lambda m: False)),
        (pickle.INT, _Machine.decimal),
        (pickle.LONG, _Machine.decimal),
        (pickle.BININT, _push(lambda m: m.number(4, signed=True))),
        (pickle.BININT1, _push(lambda m: m.number(1))),
        (pickle.BININT2, _push(lambda m: m.number(2))),
        (pickle.LONG1, _push(lambda m: m.number(m.number(1), signed=True))),
        (pickle.LONG4, _push(lambda m: m.number(m.number(4, signed=True), signed=True))),
        (pickle.FLOAT, _push(lambda m: float(m.line()))),
        (pickle.BINFLOAT, _push(lambda m: struct.unpack(">d", m.take(8))[0])),
        (pickle.STRING, _Machine.quoted_string),
        (pickle.SHORT_BINSTRING, lambda m: m.old_string(1)),
        (pickle.BINSTRING, lambda m: m.old_string(4)),
        (pickle.SHORT_BINBYTES, lambda m: m.raw(1)),
        (pickle.BINBYTES, lambda m: m.raw(4)),
        (pickle.BINBYTES8, lambda m: m.raw(8)),
        (pickle.BYTEARRAY8, lambda m: m.raw(8)),
        (pickle.UNICODE, _push(lambda m: str(m.line(), "raw-unicode-escape"))),
        (pickle.SHORT_BINUNICODE, lambda m: m.text(1)),
        (pickle.BINUNICODE, lambda m: m.text(4)),
        (pickle.BINUNICODE8, lambda m: m.text(8)),
        (pickle.MARK, _Machine.mark),
        (pickle.POP, lambda m: m.stack.pop() if m.stack else m.gathered()),
        (pickle.POP_MARK, _Machine.gathered),
        (pickle.DUP, _push(lambda m: m.stack[-1])),
        (pickle.EMPTY_TUPLE, _push(lambda m: ())),
        (pickle.EMPTY_LIST, _push(lambda m: [])),
        (pickle.EMPTY_DICT, _push(lambda m: {})),
        (pickle.EMPTY_SET, _push(lambda m: set())),
        (pickle.TUPLE1, lambda m: m.tuple_of(1)),
        (pickle.TUPLE2, lambda m: m.tuple_of(2)),
        (pickle.TUPLE3, lambda m: m.tuple_of(3)),
        (pickle.TUPLE, lambda m: m.push_gathered(tuple)),
        (pickle.LIST, lambda m: m.push_gathered(list)),
        (pickle.DICT, lambda m: m.push_gathered(_pairs)),
        (pickle.FROZENSET, lambda m: m.push_gathered(lambda items: {key(item) for item in items})),
        (pickle.APPEND, _Machine.append),
        (pickle.APPENDS, _Machine.extend),
        (pickle.SETITEM, _Machine.set_item),
        (pickle.SETITEMS, _Machine.set_items),
        (pickle.ADDITEMS, _Machine.add_items),
        (pickle.PUT, _remember(lambda m: int(m.line()))),
        (pickle.BINPUT, _remember(lambda m: m.number(1))),
        (pickle.LONG_BINPUT, _remember(lambda m: m.number(4))),
        (pickle.MEMOIZE, _remember(lambda m: len(m.memo))),
        (pickle.GET, _push(lambda m: m.memo[int(m.line())])),
        (pickle.BINGET, _push(lambda m: m.memo[m.number(1)])),
        (pickle.LONG_BINGET, _push(lambda m: m.memo[m.number(4)])),
        (pickle.GLOBAL, _Machine.global_name),
        (pickle.STACK_GLOBAL, _Machine.stack_global),
        (pickle.REDUCE, _Machine.reduce),
        (pickle.BUILD, _Machine.build),
    )
}
_FORBIDDEN = {
    getattr(pickle, name)[0]: name
    for name in (
        "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER",
        "READONLY_BUFFER",
    )
}  # fmt: skip
