"""Functions to begin with: one for each language, of a few lines that work."""

from __future__ import annotations

from typing import NamedTuple


class Starter(NamedTuple):
    """A function to begin with.

    :ivar file: what it is called.
    :ivar command: what runs it, in its directory.
    :ivar build: what has to be done first, in a shell there; empty: nothing.
    """

    file: str
    text: str
    command: tuple[str, ...]
    build: str = ""


def _explained(mark: str) -> str:
    """What every one of them is given, as a comment."""
    lines = (
        "Standard input is the body of the request, standard output the answer's. What goes to",
        "standard error is logged. The environment has the rest: Http_Method, Http_Path,",
        "Http_Query, and each header field, as Http_X_Call_Id.",
    )
    return "".join(f"{mark} {line}\n" for line in lines)


_PYTHON = f"""\
{_explained("#")}
import sys

body = sys.stdin.read()
print("was sent", len(body), "characters", file=sys.stderr)
sys.stdout.write(body.upper())
"""

_NODE = f"""\
{_explained("//")}let body = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (text) => {{ body += text; }});
process.stdin.on("end", () => {{
  console.error("was sent", body.length, "characters");
  process.stdout.write(body.toUpperCase());
}});
"""

_GO = (
    _explained("//")
    + """\
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

func main() {
	body, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "was sent", len(body), "bytes")
	os.Stdout.Write(bytes.ToUpper(body))
}
"""
)

_SH = f"""\
#!/bin/sh
{_explained("#")}echo "was called for $Http_Path" >&2
tr '[:lower:]' '[:upper:]'
"""

STARTERS = {
    "python": Starter("handler.py", _PYTHON, ("{python}", "handler.py")),
    "node": Starter("handler.js", _NODE, ("node", "handler.js")),
    "go": Starter("handler.go", _GO, ("./handler",), "go build -o handler handler.go"),
    "sh": Starter("handler.sh", _SH, ("sh", "handler.sh")),
}
