"""A function that is a process: it answers HTTP on $PORT, and notes it in the FIFO $NOTES.

A line is ``<pid> serves``, ``<pid> began <call id> <attempt>`` or ``<pid> ended <call id>``; each
is written at once and whole. A call takes a moment, up to $MOST_SECONDS.
"""

import asyncio
import os
import random

notes = os.open(os.environ["NOTES"], os.O_WRONLY)
most_seconds = float(os.environ["MOST_SECONDS"])


def note(*words: str) -> None:
    os.write(notes, f"{os.getpid()} {' '.join(words)}\n".encode())


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            await reader.readexactly(int(fields["content-length"]))
            call_id = fields["x-call-id"]
            note("began", call_id, fields["x-attempt"])
            await asyncio.sleep(random.uniform(0, most_seconds))
            note("ended", call_id)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve() -> None:
    server = await asyncio.start_server(converse, "127.0.0.1", int(os.environ["PORT"]))
    note("serves")
    await server.serve_forever()


asyncio.run(serve())
