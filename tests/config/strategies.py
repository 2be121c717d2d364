"""Values, lines and files of a configuration, for hypothesis: good, odd and broken."""

from hypothesis import strategies as st

NAMES = ("a", "bb", "c1", "empty", "undefined", "relayhost", "compatibility_level")
BLANKS = st.sampled_from(["", "", " ", "\t"])
WORDS = st.sampled_from(
    [
        *"x y 1 23 007 . - , % = ? : \u00e4 _ / {} ( 3.6 hash:/x sqlite:s".split(),
        *('"', " ", "  ", "9" * 19, "9" * 20, "$$"),
    ]
)
OPERATORS = st.sampled_from(
    "== != < <= >= > ==level <level >=level = <> >foo ==le-vel".split()
)


def texts(inner):
    return st.lists(inner, max_size=3).map("".join)


@st.composite
def references(draw, inner):
    """A reference, with operands from `inner`."""

    def operand():
        return draw(inner)

    def blanks():
        return draw(BLANKS)

    name = draw(st.sampled_from(NAMES))
    open_, close = draw(st.sampled_from(["{}", "()"]))
    match draw(st.integers(0, 7)):
        case 0:
            return f"${name}"
        case 1:
            inside = f"{blanks()}{name}{blanks()}"
        case 2:
            inside = f"{name}{blanks()}{draw(st.sampled_from('?:'))}{operand()}"
        case 3:
            inside = f"{name}?{blanks()}{{{operand()}}}{blanks()}"
            inside += f":{blanks()}{{{operand()}}}"
        case 4:
            inside = f"{name}:{blanks()}{{{operand()}}}{blanks()}"
        case 5:
            inside = f"{name}{operand()}"
        case _:
            inside = f"{{{operand()}}}{blanks()}{draw(OPERATORS)}{blanks()}"
            inside += f"{{{operand()}}}{blanks()}"
            match draw(st.integers(0, 3)):
                case 0:
                    inside += f"?{{{operand()}}}"
                case 1:
                    inside += f"?{{{operand()}}}:{{{operand()}}}"
                case 2:
                    inside += f":{operand()}"
    return f"${open_}{inside}{close}"


WELL_FORMED = st.recursive(
    texts(WORDS), lambda inner: texts(references(inner) | WORDS), max_leaves=8
)


@st.composite
def broken(draw):
    """A value with one character too many or missing."""
    value = draw(WELL_FORMED)
    place = draw(st.integers(0, len(value)))
    more = draw(st.sampled_from([*"${}()?:= <x", ""]))
    return value[:place] + more + value[place + draw(st.integers(0, 1)) :]


VALUES = WELL_FORMED | broken()

# What stands between the assignments.
ODD_LINES = st.sampled_from(
    ["", "# comment", "   ", "  continued", "\t# comment", "\r", "relayhost = again"]
)


@st.composite
def main_cf(draw):
    """The text of a main.cf that sets some of `NAMES` and others."""
    lines = ["a = A", "empty =", "bb = $a b", "c1 = 12"]
    settings = draw(
        st.lists(
            st.tuples(
                st.sampled_from(
                    "relayhost mail_spool_directory virtual_mailbox_maps bb own"
                    " compatibility_level fast_flush_domains".split()
                ),
                VALUES,
                ODD_LINES,
            ),
            min_size=1,
            max_size=4,
        )
    )
    for name, value, odd in settings:
        lines += [f"{name} = {value}", odd]
    return "\n".join(lines) + "\n"
