"""Ask Postfix's own libraries what a list of tables answers.

A program and not a module: a fatal error ends it. `postmap -q` opens tables with other
options than virtual(8); here they are opened as virtual(8) opens them.

Reads JSON on standard input:

    config   configuration directory
    maps     list of "type:name", as text
    search   "address" (mail_addr_find), "key" (maps_find), "local" (resolve_local),
             "fold" (casefold), "domain" (the domain list fast_flush_domains),
             "changed" (dict_changed_name after each key, a file, was touched)
    keys     in hexadecimal

Writes a list of results: hexadecimal, null, or the error number. The log goes to
standard error.
"""

from __future__ import annotations

import ctypes
import json
import locale
import os
import sys

LIBRARIES = "/usr/lib/postfix"
MA_FORM_INTERNAL, MA_FORM_EXTERNAL, MA_FORM_EXTERNAL_FIRST = 1, 2, 3
MA_FIND_DEFAULT = 1 | 2 | 4 | 16
LOCK, UTF8_REQUEST = 1 << 6, 1 << 19
PARANOID = 1 << 11 | 1 << 12 | 1 << 13
MATCH_FLAG_PARENT, MATCH_FLAG_RETURN = 1 << 0, 1 << 1
O_WRONLY = 1


class Maps(ctypes.Structure):
    _fields_ = (
        ("title", ctypes.c_char_p),
        ("argv", ctypes.c_void_p),
        ("error", ctypes.c_int),
    )


def main() -> None:
    request = json.load(sys.stdin)
    # Python has taken over the locale of the environment; Postfix never does.
    locale.setlocale(locale.LC_ALL, "C")
    os.environ["MAIL_CONFIG"] = request["config"]
    util = ctypes.CDLL(f"{LIBRARIES}/libpostfix-util.so", ctypes.RTLD_GLOBAL)
    postfix = ctypes.CDLL(f"{LIBRARIES}/libpostfix-global.so", ctypes.RTLD_GLOBAL)
    util.vstream_fdopen.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(util.vstream_fdopen(2, O_WRONLY))
    util.msg_vstream_init(b"libpostfix", stream)
    postfix.mail_conf_read()
    postfix.mail_dict_init()
    postfix.dymap_init(
        f"{request['config']}/dynamicmaps.cf".encode(), LIBRARIES.encode()
    )
    ctypes.c_int.in_dll(util, "dict_allow_surrogate").value = 1
    utf8 = ctypes.c_int.in_dll(util, "util_utf8_enable").value

    postfix.maps_create.restype = ctypes.POINTER(Maps)
    postfix.maps_find.restype = ctypes.c_char_p
    postfix.mail_addr_find_opt.restype = ctypes.c_char_p
    util.casefoldx.restype = ctypes.c_char_p
    util.dict_changed_name.restype = ctypes.c_char_p
    maps = postfix.maps_create(
        b"virtual_mailbox_maps",
        request["maps"].encode("utf-8", "surrogateescape"),
        LOCK | PARANOID | UTF8_REQUEST,
    )
    util.match_list_init.restype = ctypes.c_void_p

    def ask(key: bytes) -> bytes | int | None:
        search = request["search"]
        if search == "fold":
            return util.casefoldx(1 if utf8 else 0, None, key, ctypes.c_ssize_t(-1))
        if search == "local":
            return postfix.resolve_local(key)
        if search == "changed":
            os.utime(key)
            return util.dict_changed_name()
        maps.contents.error = 0
        if search == "key":
            value = postfix.maps_find(maps, key, 0)
        else:
            value = postfix.mail_addr_find_opt(
                maps,
                key,
                None,
                MA_FORM_INTERNAL,
                MA_FORM_EXTERNAL_FIRST,
                MA_FORM_EXTERNAL,
                MA_FIND_DEFAULT,
            )
        return maps.contents.error or value

    def domain_list() -> ctypes.c_void_p:
        postfix.match_parent_style.restype = ctypes.c_int
        style = postfix.match_parent_style(b"fast_flush_domains")
        value = ctypes.c_char_p.in_dll(postfix, "var_fflush_domains").value
        return ctypes.c_void_p(
            util.match_list_init(
                b"fast_flush_domains",
                MATCH_FLAG_RETURN | style,
                value,
                1,
                util.match_hostname,
            )
        )

    if request["search"] == "domain":
        patterns = domain_list()

        def ask(key: bytes) -> bytes | int | None:
            return util.match_list_match(patterns, key)

    results = []
    for key in request["keys"]:
        result = ask(bytes.fromhex(key))
        results.append(result.hex() if isinstance(result, bytes) else result)
    json.dump(results, sys.stdout)


main()
