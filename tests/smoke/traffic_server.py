# SPDX-License-Identifier: BSD-3-Clause
"""The server of the smoke tests: `traffic_server.py ADDRESS PORT BYTES_A_SECOND`.

A connection begins with a line. `download N`: it gets a line with its public address and port as seen here, then N
bytes at no more than the given rate. `converse`: each further line is answered by that address and port and the line
itself. Prints `ready`, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from tests.smoke import content

SO_MAX_PACING_RATE = 47  # of Linux; the module has no name for it


class Server:
    """Serves until stopped; `rate` in bytes a second for each download."""

    def __init__(self, rate: int) -> None:
        self._rate = rate

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            words = (await reader.readline()).split()
            if words[:1] == [b"download"]:
                await self._download(writer, int(words[1]))
            elif words == [b"converse"]:
                await self._converse(reader, writer)
        except ConnectionError as error:
            print(f"connection with {peer(writer)} ended: {error}", file=sys.stderr, flush=True)
        finally:
            writer.close()

    async def _download(self, writer: asyncio.StreamWriter, length: int) -> None:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, self._rate)
        writer.write(f"{peer(writer)}\n".encode())
        for block in content.blocks(length):
            writer.write(block)
            await writer.drain()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(f"{peer(writer)} ".encode() + line)
            await writer.drain()


def peer(writer: asyncio.StreamWriter) -> str:
    address, port = writer.get_extra_info("peername")
    return f"{address}:{port}"


async def main(address: str, port: int, rate: int) -> None:
    server = await asyncio.start_server(Server(rate).serve, address, port, backlog=1024)
    async with server:
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        ended = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(ended), sys.stdin)
        await ended.read()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
