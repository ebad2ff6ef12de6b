"""A client that sends bytes as they are, with a clerk's token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.service import Service

Send = Callable[..., Any]


@pytest.fixture
def send(service: Service) -> Send:
    """POST these bytes; a header of None is left out, `_` in a header's name means `-`."""

    def post(body: bytes, **headers: str | None) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        usual = {"Authorization": f"Bearer {service.token()}", "Content-Type": "application/json"}
        sent = {name: value for name, value in {**usual, **named}.items() if value is not None}
        return service.client.post("/graphql", content=body, headers=sent)

    return post
