"""The page of the departments' sources: server-rendered, without JavaScript, from GraphQL like every client's.

Whoever opens it hands in a token once, which the browser keeps for this page alone (HttpOnly, SameSite=Strict) and no script can read. The page asks with it, so it
shows what that identity may see, and every look at it is on record.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from web.graphiql import OWN_HEADERS, SAFETY_HEADERS, GraphiQLPrefill, asset_route

DOCUMENT = """query Sources { sources { department title contact state latency { p50 p95 p99 }
  details { calls errors { code count } retried refused underWay waiting lacks { title columns }
    freshness { title updatedAt cycle days late } } } }"""
"""What the page asks."""

Ask = Callable[[str, str, tuple[str, int]], Awaitable[Mapping[str, Any]]]
"""The GraphQL answer to (token, document, address of the browser)."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src data:",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {**SAFETY_HEADERS, "Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-store"}
_WEB = Path(__file__).resolve().parent
_COOKIE, _PATH = "onesource-sources", "/sources"
_MAX_FORM = 8_192
_REFRESH_SECONDS = 30
_STATES = {"CLOSED": "正常", "HALF_OPEN": "试探", "OPEN": "熔断", "UNREACHABLE": "不可达"}
_CYCLES = {
    "REALTIME": "实时", "DAILY": "每日", "WEEKLY": "每周", "MONTHLY": "每月", "QUARTERLY": "每季", "YEARLY": "每年",
    "IRREGULAR": "不定期",
}  # fmt: skip


def sources_routes(ask: Ask, prefill: Callable[[], GraphiQLPrefill | None], *, secure: bool) -> list[Route | Mount]:
    """Routes of the page; `prefill` offers a demo's identities, `secure` keeps the token off plain HTTP."""
    template = Template((_WEB / "sources.html").read_text(encoding="utf-8"))

    def answer(body: str, status: int = 200, *, again: bool = False) -> Response:
        refresh = f'<meta http-equiv="refresh" content="{_REFRESH_SECONDS}">' if again else ""
        return HTMLResponse(template.substitute(body=body, refresh=refresh), status, HEADERS)

    async def show(request: Request) -> Response:
        token = request.cookies.get(_COOKIE, "")
        if not token:
            return answer(_entrance(prefill(), ""))
        told = await ask(token, DOCUMENT, (request.client.host, request.client.port) if request.client else ("", 0))
        sources = (told.get("data") or {}).get("sources")
        if sources is None:
            return answer(_entrance(prefill(), _problem(told)), 403)
        return answer(_table(sources), again=True)

    async def enter(request: Request) -> Response:
        """Keep the token that the form brings, or forget it where it brings none."""
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return Response(status_code=403, headers=HEADERS)
        form = bytearray()
        async for chunk in request.stream():
            form += chunk
            if len(form) > _MAX_FORM:
                return Response(status_code=413, headers=HEADERS)
        token = parse_qs(form.decode("ascii", "replace")).get("token", [""])[0].strip()
        response = RedirectResponse(_PATH, 303, HEADERS)
        if token.isascii() and token.isprintable() and not set(token) & set(' ",;\\'):
            age = None if token else 0  # an empty one forgets it
            response.set_cookie(_COOKIE, token, age, path=_PATH, httponly=True, samesite="strict", secure=secure)
        return response

    return [
        Route(_PATH, show, methods=["GET"]),
        Route(_PATH, enter, methods=["POST"]),
        asset_route("sources.css", OWN_HEADERS),
    ]


def _entrance(prefill: GraphiQLPrefill | None, problem: str) -> str:
    """The form that a token is handed in with; a demo offers its identities."""
    offered = "".join(
        f'<button name="token" value="{escape(_token(headers))}">{escape(label)}</button>'
        for label, headers in (prefill.identities if prefill else ())
    )
    demo = (
        f'<form method="post" action="{_PATH}"><p>演示身份 <span lang="en">Demo identities</span></p>{offered}</form>'
    )
    return f"""{f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""}
<p>供开发、数据专员和审计岗位使用。<span lang="en">For developers, officers and auditors.</span></p>
<form method="post" action="{_PATH}"><label>令牌 <span lang="en">Token</span>
<input type="password" name="token" autocomplete="off" required></label> <button>进入 <span lang="en">Enter</span></button></form>
{demo if offered else ""}"""


def _token(headers: str) -> str:
    return str(json.loads(headers).get("Authorization", "")).removeprefix("Bearer ")


def _problem(told: Mapping[str, Any]) -> str:
    """What the service said, in Chinese where it has the words."""
    for error in told.get("errors") or ():
        extensions = error.get("extensions") or {}
        words = (extensions.get("reason") or extensions.get("message") or {}).get("zh") or error.get("message")
        return f"{words or ''}（{extensions.get('code', '')}）"
    return "没有应答 no answer"


def _table(sources: Sequence[Mapping[str, Any]]) -> str:
    """The state of each source, those in trouble first."""
    order = {state: place for place, state in enumerate(("UNREACHABLE", "OPEN", "HALF_OPEN", "CLOSED"))}
    rows = "".join(_row(one) for one in sorted(sources, key=lambda one: order[one["state"]]))
    counts = "，".join(f"{title} {sum(one['state'] == state for one in sources)}" for state, title in _STATES.items())
    leave = f'<form method="post" action="{_PATH}"><button>退出 <span lang="en">Leave</span></button></form>'
    return f"""<p class="sum">{len(sources)} 个数据源：{counts}。每 {_REFRESH_SECONDS} 秒刷新。
<span lang="en">As this process sees them.</span></p>{leave}
<div class="wide"><table><thead><tr><th scope="col">部门 <span lang="en">Department</span></th>
<th scope="col">状态 <span lang="en">State</span></th>
<th scope="col">响应时间（毫秒）<span lang="en">p50 / p95 / p99, ms</span></th>
<th scope="col">调用 <span lang="en">Calls</span></th><th scope="col">失败 <span lang="en">Errors</span></th>
<th scope="col">更新情况（据已查询的记录）<span lang="en">Freshness of what was asked</span></th>
</tr></thead><tbody>{rows}</tbody></table></div>"""


def _row(one: Mapping[str, Any]) -> str:
    latency, details = one["latency"], one["details"]
    took = " / ".join(_number(latency[name]) for name in ("p50", "p95", "p99")) if latency else "—"
    state = one["state"]
    return f"""<tr><th scope="row">{escape(one["title"])}<small>{escape(one["contact"])}</small></th>
<td><span class="state {escape(state.lower())}">{escape(_STATES.get(state, state))}</span>
<small lang="en">{escape(state.lower().replace("_", "-"))}</small></td>
<td class="number">{took}</td>{_details(details) if details else "<td>—</td><td>—</td><td>—</td>"}</tr>"""


def _number(milliseconds: float) -> str:
    return f"{milliseconds:.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"


def _details(details: Mapping[str, Any]) -> str:
    """Calls, errors and freshness, where the reader may know them."""
    calls = [f"{details['calls']}"]
    for name, title in (("retried", "重试"), ("refused", "未发起"), ("underWay", "进行中"), ("waiting", "排队")):
        if details[name]:
            calls.append(f"<small>{title} {details[name]}</small>")
    errors = [f"<code>{escape(error['code'])}</code> {error['count']}" for error in details["errors"]]
    errors += [
        f'<span class="problem">{escape(lack["title"])} 缺少字段 {escape("、".join(lack["columns"]))}</span>'
        for lack in details["lacks"]
    ]
    return (
        f'<td class="number">{"".join(calls)}</td><td>{"<br>".join(errors) or "0"}</td><td>{_freshness(details)}</td>'
    )


def _freshness(details: Mapping[str, Any]) -> str:
    """The resources by their last change; folded where there are several."""
    lines = [
        f"<li{' class=late' if one['late'] else ''}>{escape(one['title'])} "
        f"{datetime.fromisoformat(one['updatedAt']):%Y-%m-%d}<small>{_CYCLES.get(one['cycle'], escape(one['cycle']))}"
        f"更新，距今 {one['days']} 天{'，周期内未见更新' if one['late'] else ''}</small></li>"
        for one in details["freshness"]
    ]
    if not lines:
        return "—"
    late = sum(bool(one["late"]) for one in details["freshness"])
    return f"<details><summary>{len(lines)} 项，{late} 项周期内未见更新</summary><ul>{''.join(lines)}</ul></details>"
