"""A receiver of metric batches as a process of its own: it reads each, and answers for each."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec
import uvloop
from aiohttp import web


class Named(msgspec.Struct):
    """As much of a batch as the receiver answers by."""

    id: str
    samples: Sequence[object]


async def take(request: web.Request) -> web.Response:
    """Read the batches, and say that they have arrived."""
    batches = msgspec.json.decode(await request.read(), type=list[Named])
    body = msgspec.json.encode({"accepted": [batch.id for batch in batches]})
    return web.Response(body=body, content_type="application/json")


def main() -> None:
    """Serve on the port of the first argument."""
    uvloop.install()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/", take)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
