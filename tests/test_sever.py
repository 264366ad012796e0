"""A connection of another process is ended, and that one alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from appliance.problems import NotFound
from appliance.sever import sever

CLIENT = """
import os, socket, sys
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(link.fileno(), os.fstat(link.fileno()).st_ino, flush=True)
print("got", link.recv(10), flush=True)
"""


def test_a_connection_of_another_process_ends_at_both_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", CLIENT, str(server.getsockname()[1])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            link, _ = server.accept()
            assert client.stdout
            descriptor, inode = map(int, client.stdout.readline().split())
            with pytest.raises(NotFound, match="ended already"):
                sever(client.pid, descriptor, inode + 1)
            sever(client.pid, descriptor, inode)
            assert client.stdout.readline() == "got b''\n"
            assert link.recv(1) == b""
            link.close()


def test_what_is_gone_is_said() -> None:
    with pytest.raises(NotFound):
        sever(2**22 - 1, 3, 1)
    with pytest.raises(NotFound):
        sever(os.getpid(), 1 << 20, 1)
