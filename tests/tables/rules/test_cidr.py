"""cidr: tables, against the genuine program."""

from __future__ import annotations

import pytest

from postvirt.tables.table import TableOptions
from tests.harness.tables import open_table

QUERY = TableOptions(utf8=True, fold=True, warn_duplicates=True)

RULES = {
    "networks": (
        b"192.0.2.0/24 one\n192.0.2.1 two\n10.0.0.0/8 three\n2001:db8::/32 four\n"
    ),
    "order": b"192.0.2.1 one\n192.0.2.0/24 two\n0.0.0.0/0 three\n::/0 four\n",
    "single addresses": b"192.0.2.1/32 one\n2001:db8::1/128 two\n::1 three\n",
    "lengths": b"192.0.2.0/024 one\n10.0.0.0/08 two\n192.0.2.1/33 three\n::/129 four\n",
    "bad lengths": b"10.0.0.0/ one\n10.0.0.0/x two\n10.0.0.0/8x three\n::/-1 four\n",
    "host bits": (
        b"192.0.2.1/24 one\n2001:db8::1/32 two\n10.1.0.0/8 three\n::1/0 four\n"
    ),
    "brackets": (
        b"[192.0.2.0]/24 one\n[10.0.0.0/8] two\n[2001:db8::]/32 three\n[::1] four\n"
        b"[192.0.2.1 five\n[192.0.2.1]x six\n[10.0.0.0/8]/8 seven\n[] eight\n"
        b"]192.0.2.1 x\n"
    ),
    "not addresses": (
        b"192.0.2 one\n192.0.2.01 two\n300.0.0.1 three\n2001:db8::g four\n"
        b"user@example.com five\nfe80::1%lo six\n1.2.3.4.5/8 seven\n"
        b"::ffff:192.0.2.1 eight\n"
    ),
    "negation": (
        b"!192.0.2.0/24 one\n! 2001:db8::/32 two\n!!10.0.0.0/8 three\n! ! ! ::1 four\n"
        b"!\n! \n!x five\n"
    ),
    "no result": b"192.0.2.0/24\n10.0.0.0/8 \n2001:db8::1  \n",
    "blocks": (
        b"if 192.0.2.0/24\n192.0.2.1 one\nif !192.0.2.2\n192.0.2.0/24 two\nendif\n"
        b"0.0.0.0/0 three\nENDIF\nif !2001:db8::/32\n::/0 four\nEndIf \n"
        b"0.0.0.0/0 five\n"
        b"If ! ! 2001:db8::1\n::/0 six\nendif\n"
    ),
    "blocks that do not fit": (
        b"endif\nif\nif \nif x\n192.0.2.1 one\nendif\nif 192.0.2.0/24\n192.0.2.1 two\n"
        b"endif x\n10.0.0.0/8 three\nif!10.0.0.0/8\nif 2001:db8::/32 text\nendifx\n"
        b"ifx\n"
    ),
    "values": b"192.0.2.1 $1 $$ ${x} a  b \n10.0.0.0/8 # x\n2001:db8::1 {a b}\n",
    "lines": b"# c\n192.0.2.0/24\n one\n# c\n two\n10.0.0.0/8 x\r\n 2001:db8::1 y\n",
    "blank first": b" 192.0.2.1 one\n10.0.0.0/8 two\n",
    "nul": b"192.0.2.1 one\0two\n10.0.0.0/8\0 x\n\0\n2001:db8::1 y\n",
    "utf-8": b"192.0.2.1 \xc3\xa9\n10.0.0.0/8\xc2\xa0x y\n",
    "empty": b"",
}
KEYS = [
    b"192.0.2.1",
    b"192.0.2.2",
    b"192.0.2.255",
    b"192.0.3.1",
    b"10.1.2.3",
    b"127.0.0.1",
    b"0.0.0.0",
    b"255.255.255.255",
    b"::",
    b"::1",
    b"2001:db8::1",
    b"2001:DB8::2",
    b"2001:db8:0:0:0:0:0:1",
    b"2001:db9::1",
    b"::ffff:192.0.2.1",
    b"fe80::1%lo",
    b"[192.0.2.1]",
    b"[::1]",
    b"192.0.2",
    b"192.0.2.01",
    b"192.0.2.1/32",
    b" 192.0.2.1",
    b"192.0.2.1 ",
    b"user@example.com",
    b"user@[192.0.2.1]",
    b"\xc3\xa9",
    b"1" * 2000,
    b":" * 2000,
]


@pytest.mark.postfix
@pytest.mark.parametrize("rules", RULES)
def test_networks_answer_and_warn_as_postmap_does(postfix, logged, text_table, rules):
    spec = f"cidr:{text_table(RULES[rules])}"
    expected, lines = postfix.query_with_log(spec, KEYS)
    table = open_table(spec, QUERY)
    answers = {key: table.lookup(key) for key in KEYS}
    assert answers == {key: expected.get(key) for key in KEYS}
    assert logged.take() == lines


def test_a_part_of_an_address_is_no_key():
    assert not open_table("cidr:{{192.0.2.1 x}}", QUERY).fixed


def test_a_mask_of_any_number_of_digits_is_read(logged, text_table):
    rules = b"192.0.2.0/%s24 a\n192.0.2.0/%s b\n" % (b"0" * 5000, b"9" * 5000)
    table = open_table(f"cidr:{text_table(rules)}", QUERY)
    assert table.lookup(b"192.0.2.1") == b"a"
    [line] = logged.take()
    assert "bad mask length" in line
