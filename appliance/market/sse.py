"""Server-sent events, as agents send them (WHATWG HTML, section 9.2). Pure."""

from __future__ import annotations


class Parser:
    """Takes bytes as they come, gives (event, data) pairs as they are complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._skip_lf = False
        self._kind = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[tuple[str, str]]:
        """The events that `chunk` completes; an unfinished one is kept."""
        if self._skip_lf and chunk.startswith(b"\n"):  # CR and LF came apart
            chunk = chunk[1:]
        if chunk:
            self._skip_lf = chunk.endswith(b"\r")
        whole = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, last = whole.split(b"\n")
        if not lines:
            self._rest += last
            return []
        lines[0] = self._rest + lines[0]
        self._rest = last
        return [event for line in lines for event in self._line(line)]

    def _line(self, line: bytes) -> list[tuple[str, str]]:
        if not line:
            event = (self._kind or "message", "\n".join(self._data))
            found = [event] if self._data else []
            self._kind, self._data = "", []
            return found
        name, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        return []
