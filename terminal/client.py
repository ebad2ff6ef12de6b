"""Asking the service over HTTP, and saying what went wrong to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unicodedata import category

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

out = Console()
err = Console(stderr=True)

REFUSED, WRONG_USE, UNAUTHENTICATED, UNREACHABLE = 1, 2, 3, 4
"""Exit codes: nothing could be shown; the command was used wrongly; no valid token; the service does not answer."""


def plain(text: str) -> Text:
    """The text as it is, for a table: no markup, and nothing that would steer the terminal (a source or a caller wrote it)."""
    return Text("".join("\N{REPLACEMENT CHARACTER}" if category(sign)[0] == "C" else sign for sign in text))


def address(url: str) -> str:
    """The address as it is; exits with a sentence if it is none."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        err.print(plain(f"{url} 不是地址 is not an address (http:// …, https:// …)"), style="red")
        raise typer.Exit(WRONG_USE)
    return url


def ask(url: str, token: str, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the answer; exits with a sentence if there is none."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/graphql-response+json"}
    try:
        # no proxy of the environment: the question holds personal data
        with httpx.Client(timeout=30, trust_env=False) as client:
            response = client.post(url, json={"query": document, "variables": dict(variables)}, headers=headers)
        body = response.json()
        if not isinstance(body, dict):
            raise ValueError("not a GraphQL answer")  # noqa: TRY004
    except (httpx.HTTPError, ValueError, UnicodeError) as error:
        err.print(
            f"[red]{escape(url)} 没有应答 does not answer ({type(error).__name__}).[/] 请先运行 start it: onesource serve"
        )
        raise typer.Exit(UNREACHABLE) from None
    if response.status_code == 401:
        err.print(
            "[red]令牌无效或已过期 the token is not valid.[/] 演示令牌 for the demo: onesource token --role clerk"
        )
        raise typer.Exit(UNAUTHENTICATED)
    return body


def say_errors(body: Mapping[str, Any]) -> None:
    """Print each error of an answer: place, reason, rule, what to do next."""
    for error in body.get("errors", ()):
        extensions = error.get("extensions", {})
        place = ".".join(str(part) for part in error.get("path", ())) or "-"
        reason = extensions.get("reason") or extensions.get("message") or {"zh": "", "en": error["message"]}
        step = extensions.get("next") or extensions.get("hint") or {}
        rule = f" [{extensions['ruleId']}]" if "ruleId" in extensions else ""
        err.print(plain(f"✗ {place} {extensions.get('code', '')}{rule}"), style="yellow")
        err.print(plain(f"  {reason['zh']} {reason['en']}"))
        if step:
            err.print(plain(f"  → {step['zh']} {step['en']}"), style="dim")
