"""`python -P sealed.py CODE ARGUMENTS...` runs code that must open no socket and change no file outside this folder.

It ends at the first attempt: by SIGSYS at a socket, with exit status 99 at a file.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from typing import Any

CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
CHANGING = ("os.mkdir", "os.rename", "os.remove", "os.symlink", "os.link", "os.truncate")


def no_sockets() -> None:
    """From here on the kernel kills this process, and what it starts, where it asks for a socket (seccomp, Linux).

    Native code is bound by it as Python is, and no rights are needed.

    Raises:
        OSError: the kernel, or a container, refuses.
    """
    # instructions of the kernel's packet filter, on `struct seccomp_data`
    load, equal, end = 0x20, 0x15, 0x06
    kill, allow = 0x80000000, 0x7FFF0000
    machine, socket = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}[platform.machine()]
    program = (
        (load, 0, 0, 4),
        (equal, 1, 0, machine),
        (end, 0, 0, kill),
        (load, 0, 0, 0),
        (equal, 0, 1, socket),
        (end, 0, 0, kill),
        (end, 0, 0, allow),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    rules = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_ulong)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    for option, value, pointer in ((no_new_privileges, 1, None), (set_seccomp, filter_mode, rules)):
        if prctl(option, value, pointer, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "seccomp is refused here")


def watch(event: str, details: tuple[Any, ...]) -> None:
    """An audit hook: what Python itself changes outside the folder. Native code shows in what it leaves."""
    if event == "open":
        path, mode, flags = details
        paths = (
            [path] if (isinstance(mode, str) and set(mode) & set("wax+")) or (flags or 0) & CHANGES else []
        )
    else:
        # of two the second is where it goes; what a symbolic link shows is not changed
        paths = list(details[event == "os.symlink" : 2]) if event in CHANGING else []
    for path in paths:
        if not isinstance(path, str | bytes) or path == os.devnull:
            continue
        place = os.path.realpath(os.fsdecode(path))
        if os.path.commonpath((HERE, place)) != HERE:
            os.write(2, f"{event}: {place}\n".encode())
            os._exit(99)


if __name__ == "__main__":
    HERE = os.path.realpath(os.getcwd())
    code = sys.argv.pop(1)
    no_sockets()
    sys.addaudithook(watch)
    exec(code)
