"""A client of a language server, over its standard streams."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SETTINGS = {
    "yaml": {
        "validate": True,
        "hover": True,
        "completion": True,
        "schemaStore": {"enable": False},
        "kubernetesCRDStore": {"enable": False},
    }
}
PATIENCE = 120
"""Seconds after which a server that says nothing is ended."""


class LanguageServer:
    """A running server. What it says of a text is waited for."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        )
        self.timer = threading.Timer(PATIENCE, self.process.kill)
        self.count = 0
        self.said: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self.timer.start()
        folder = self.folder.as_uri()
        self.capabilities = self.ask(
            "initialize",
            processId=None,
            rootUri=folder,
            workspaceFolders=[{"uri": folder, "name": "specs"}],
            capabilities={
                "workspace": {"configuration": True, "workspaceFolders": True},
                "textDocument": {
                    "completion": {"completionItem": {"snippetSupport": False}},
                    "hover": {"contentFormat": ["markdown"]},
                },
            },
        )["capabilities"]
        self.tell("initialized")
        self.tell("workspace/didChangeConfiguration", settings=SETTINGS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.timer.cancel()
        self.process.kill()
        self.process.communicate()

    def open(self, file: Path) -> list[dict[str, Any]]:
        """Open a file; the diagnostics of the server about it."""
        uri = file.as_uri()
        self.tell(
            "textDocument/didOpen",
            textDocument={"uri": uri, "languageId": "yaml", "version": 1, "text": file.read_text()},
        )
        while True:
            for said in self.said:
                if said.get("method") == "textDocument/publishDiagnostics" and said["params"]["uri"] == uri:
                    found: list[dict[str, Any]] = said["params"]["diagnostics"]
                    return found
            self._listen()

    def at(self, method: str, file: Path, line: int, character: int) -> Any:
        """Ask about a place in an open file, counted from 0."""
        place = {"line": line, "character": character}
        return self.ask(f"textDocument/{method}", textDocument={"uri": file.as_uri()}, position=place)

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a request; its result."""
        self.count += 1
        number = self.count
        self._send({"id": number, "method": method, "params": parameters})
        while True:
            for said in self.said:
                if said.get("id") == number and "method" not in said:
                    return said["result"]
            self._listen()

    def tell(self, method: str, **parameters: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": parameters})

    def _listen(self) -> None:
        """Wait for a message. The server asks for settings, and for leave to change what it can do."""
        said = self._received()
        self.said.append(said)
        if "method" in said and "id" in said:
            asked = said["params"].get("items", []) if said["params"] else []
            configured = said["method"] == "workspace/configuration"
            result = [SETTINGS.get(item.get("section")) for item in asked] if configured else None
            self._send({"id": said["id"], "result": result})

    def _received(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while header := self.process.stdout.readline().strip():
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the server has ended"
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        return message

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()
