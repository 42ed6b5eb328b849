"""Running the command line inside the test's process: fast, and with its outputs apart."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from quotasim.cli.__main__ import main


@dataclass(frozen=True)
class Result:
    code: int
    content: bytes
    err: str

    @property
    def out(self) -> str:
        return self.content.decode()

    @property
    def json(self):
        return json.loads(self.content)


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def quotasim(*arguments, terminal=False):
    """Run ``quotasim`` with arguments; ``terminal``: stdout says that it is one."""
    out = (Terminal if terminal else io.TextIOWrapper)(io.BytesIO(), encoding="utf-8")
    err = io.StringIO()
    code = 0
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        mock.patch.object(sys, "argv", ["quotasim", *map(str, arguments)]),
    ):
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
        out.flush()
    return Result(code, out.buffer.getvalue(), err.getvalue())
