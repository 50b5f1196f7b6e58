#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vnc-look.py URI [PASSWORD]: what a VNC server shows: how it lets one in (RFC 6143), and how many dots of its screen are
not black. Exit code 2: it does not let in."""
import socket
import struct
import subprocess
import sys

uri = sys.argv[1]
if uri.startswith("vnc+unix://"):
    server = socket.socket(socket.AF_UNIX)
    server.settimeout(20)
    server.connect(uri.removeprefix("vnc+unix://"))
else:
    host, port = uri.removeprefix("vnc://").split(":")
    server = socket.create_connection((host, int(port)), 20)


def get(length):
    data = b""
    while len(data) < length:
        part = server.recv(length - len(data))
        if not part:
            sys.exit("the server closed the connection")
        data += part
    return data


def encrypt(challenge, password):
    # Its DES counts the bits of each letter from the other end.
    key = bytes(int(f"{letter:08b}"[::-1], 2) for letter in password.encode().ljust(8, b"\0"))
    return subprocess.run(
        ["openssl", "enc", "-des-ecb", "-nopad", "-K", key.hex(), "-provider", "legacy", "-provider", "default"],
        input=challenge, capture_output=True, check=True).stdout


assert get(12) == b"RFB 003.008\n"
server.sendall(b"RFB 003.008\n")
ways = list(get(get(1)[0]))
print("ways", *ways)
server.sendall(bytes(ways[:1]))
if ways[0] == 2:
    server.sendall(encrypt(get(16), sys.argv[2] if len(sys.argv) > 2 else ""))
if get(4) != bytes(4):
    sys.exit(2)
server.sendall(b"\1")
width, height = struct.unpack(">HH", get(4))
bytes_of_dot = get(16)[0] // 8
get(struct.unpack(">I", get(4))[0])
server.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
lit = 0
for _ in range(struct.unpack(">BBH", get(4))[2]):
    _, _, columns, rows, encoding = struct.unpack(">HHHHi", get(12))
    assert encoding == 0
    dots = get(columns * rows * bytes_of_dot)
    lit += sum(any(dots[i:i + 3]) for i in range(0, len(dots), bytes_of_dot))
print("lit", lit)
