"""What two rollouts side by side would do: embed with one release, search in another's index.

Runs in a pod, as `mixer.py ENCODER_URL INDEX_URL`; it asks for no space, so nothing refuses it.
"""

from __future__ import annotations

import sys

from aiohttp import ClientSession, web


async def search(request: web.Request) -> web.Response:
    """One query; the answer names the encoder's space and the index's, as they are."""
    encoder, index = sys.argv[1], sys.argv[2]
    body = await request.json()
    question = {"input": body["input"], "encoding_format": "base64"}
    async with ClientSession() as session:
        async with session.post(f"{encoder}/v1/embeddings", json=question) as answer:
            identity = answer.headers
            vectors = (await answer.json())["data"][0]["embedding"]
        question = {"vectors": vectors, "count": 1, "k": body["k"]}
        async with session.post(f"{index}/v1/search", json=question) as answer:
            found, theirs = await answer.json(), answer.headers
    headers = {name: identity[name] for name in ("x-lockstep-release", "x-lockstep-space")}
    headers["x-lockstep-index-space"] = theirs["x-lockstep-index-space"]
    mixed = {
        "release": headers["x-lockstep-release"],
        "spaceID": headers["x-lockstep-space"],
        "indexSpaceID": headers["x-lockstep-index-space"],
        "results": found["results"],
    }
    return web.json_response(mixed, headers=headers)


application = web.Application()
application.router.add_post("/v1/search", search)
web.run_app(application, port=8080, print=None)
