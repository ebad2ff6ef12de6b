"""The GraphiQL page works without internet, runs no inline script and quotes what it is given."""

from __future__ import annotations

import hashlib
import json
import re
from html import unescape

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from web.graphiql import DEMO_BANNER, OWN_ASSETS, PAGE_TITLE, VENDOR_ASSETS, WEB, GraphiQLPrefill, graphiql_routes

VENDOR = WEB / "vendor"
OWN_PAGE_FILES = ("graphiql.html", *OWN_ASSETS)
HOSTILE = "</script><script>alert(1)</script><!-- <script> & \" ' ]]>"
PREFILL = GraphiQLPrefill(
    title="一数一源 演示",
    query="query Q($id: ID!) { person(id: $id) { name } }",
    variables='{"id": "1"}',
    headers='{"Authorization": "Bearer a"}',
    banner=None,
    identities=(("窗口 window", '{"Authorization": "Bearer a"}'), ("审计 audit", '{"Authorization": "Bearer b"}')),
)
HOSTILE_PREFILL = GraphiQLPrefill(
    title=HOSTILE,
    query=HOSTILE,
    variables=HOSTILE,
    headers=HOSTILE,
    banner=HOSTILE,
    identities=((HOSTILE, HOSTILE),),
)


def client_with(prefill: GraphiQLPrefill | None, endpoint: str = "/graphql") -> TestClient:
    return TestClient(Starlette(routes=graphiql_routes(endpoint, lambda: prefill)))


def page_with(prefill: GraphiQLPrefill | None) -> str:
    response = client_with(prefill).get("/graphiql")
    assert response.status_code == 200
    page: str = response.text
    return page


def config_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="config">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    config = json.loads(found.group(1))
    assert isinstance(config, dict)
    return config


def listed_hashes() -> dict[str, str]:
    lines = (VENDOR / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def test_every_vendored_file_has_its_listed_hash_and_none_is_unlisted() -> None:
    files = {file.relative_to(VENDOR).as_posix(): file for file in VENDOR.rglob("*") if file.is_file()}
    del files["SHA256SUMS"]
    assert {path: hashlib.sha256(file.read_bytes()).hexdigest() for path, file in files.items()} == listed_hashes()


def test_every_served_vendor_file_stands_in_the_readme_with_hash_version_and_licence_text() -> None:
    rows = [
        line.split("|")[1:-1] for line in (VENDOR / "README.md").read_text(encoding="utf-8").splitlines() if "|" in line
    ]
    table = {cells[0]: cells[1:] for cells in ([cell.strip(" `") for cell in row] for row in rows[2:])}
    assert {f"vendor/{path}" for path in table} == set(VENDOR_ASSETS)
    for path, (package, version, _, licence_text, digest) in table.items():
        assert path.startswith(f"{package}-{version}/")
        assert (VENDOR / licence_text).is_file()
        assert digest == listed_hashes()[path]


@pytest.mark.parametrize("name", [*OWN_PAGE_FILES, "graphiql.py", "vendor/README.md"])
def test_no_page_of_ours_names_another_host(name: str) -> None:
    text = (WEB / name).read_text(encoding="utf-8")
    assert re.findall(r"""(?:https?|wss?):|["'(=]//\w|\bcdn\.|\w+\.(?:com|org|net|io|cn)\b""", text) == []


def test_vendored_styles_load_nothing_but_data() -> None:
    styles = (VENDOR / "graphiql-3.9.0/graphiql.min.css").read_text(encoding="utf-8")
    assert set(re.findall(r"""url\(["']?(\w+:)""", styles)) == {"data:"}
    assert len(re.findall(r"url\(", styles)) == len(re.findall(r"""url\(["']?data:""", styles))
    assert "@import" not in styles


def test_everything_the_page_refers_to_is_served_here() -> None:
    client = client_with(PREFILL)
    references = re.findall(r'(?:src|href)="([^"]+)"', client.get("/graphiql").text)
    references.remove("/sources")  # a page of its own
    assert {path for path in references if path != "data:,"} == {
        f"/static/{path}" for path in (*VENDOR_ASSETS, *OWN_ASSETS)
    }
    assert {client.get(path).status_code for path in references if path != "data:,"} == {200}


@pytest.mark.parametrize("path", VENDOR_ASSETS)
def test_vendored_files_are_served_unchanged_and_may_be_kept_for_a_year(path: str) -> None:
    response = client_with(None).get(f"/static/{path}")
    assert response.content == (WEB / path).read_bytes()
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", OWN_ASSETS)
def test_our_own_files_are_revalidated(path: str) -> None:
    assert client_with(None).get(f"/static/{path}").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/graphiql", *(f"/static/{path}" for path in (*VENDOR_ASSETS, *OWN_ASSETS))])
def test_every_answer_forbids_sniffing_and_referrers(path: str) -> None:
    headers = client_with(None).get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-type"].split(";")[0] in {"text/html", "text/css", "text/javascript"}


@pytest.mark.parametrize(
    "path", ["/static/vendor/SHA256SUMS", "/static/graphiql.py", "/static/vendor/../graphiql.py", "/static/vendor/"]
)
def test_files_that_the_page_does_not_need_are_not_served(path: str) -> None:
    assert client_with(None).get(path).status_code == 404


def test_page_answers_get_only() -> None:
    assert client_with(None).post("/graphiql").status_code == 405


def test_page_has_a_strict_content_security_policy() -> None:
    policy = client_with(None).get("/graphiql").headers["content-security-policy"]
    directives = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_page_with_tokens_is_stored_by_no_cache() -> None:
    assert client_with(PREFILL).get("/graphiql").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("prefill", [None, PREFILL, HOSTILE_PREFILL])
def test_page_has_no_inline_script(prefill: GraphiQLPrefill | None) -> None:
    page = page_with(prefill)
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == len(re.findall("<script", page)) == 5
    for attributes, body in scripts:
        assert attributes == ' type="application/json" id="config"' or (" src=" in attributes and body == "")
    assert re.search(r"<[^>]*\s(?:on\w+|style)=", page) is None
    assert "javascript:" not in page


def test_hostile_prefill_arrives_as_text_and_breaks_out_of_nothing() -> None:
    page = page_with(HOSTILE_PREFILL)
    assert "<script>" not in page
    assert "<!--" not in page
    assert config_of(page) == {
        "endpoint": "/graphql",
        "query": HOSTILE,
        "variables": HOSTILE,
        "headers": HOSTILE,
        "identities": [{"label": HOSTILE, "headers": HOSTILE}],
    }
    for element in ("title", "h1", 'p class="banner" role="note"'):
        found = re.search(f"<{element}>([^<]*)</{element.split()[0]}>", page)
        assert found is not None
        assert unescape(found.group(1)) == HOSTILE


def test_dollar_signs_of_a_prefill_are_not_template_fields() -> None:
    assert config_of(page_with(PREFILL))["query"] == PREFILL.query


def test_demo_page_offers_its_identities_and_says_that_they_are_demo() -> None:
    page = page_with(PREFILL)
    assert f'role="note">{DEMO_BANNER}</p>' in page
    assert config_of(page)["identities"] == [
        {"label": label, "headers": headers} for label, headers in PREFILL.identities
    ]


def test_production_page_holds_an_empty_bearer_and_no_identity() -> None:
    page = page_with(None)
    assert f"<title>{PAGE_TITLE}</title>" in page
    assert DEMO_BANNER not in page
    config = config_of(page)
    assert config["identities"] == []
    assert config["query"] is None
    assert json.loads(str(config["headers"])) == {"Authorization": "Bearer "}


def test_prefill_is_asked_at_each_view() -> None:
    answers = [PREFILL, None]
    client = TestClient(Starlette(routes=graphiql_routes("/graphql", lambda: answers.pop(0))))
    assert DEMO_BANNER in client.get("/graphiql").text
    assert DEMO_BANNER not in client.get("/graphiql").text


@pytest.mark.parametrize("endpoint", ["//evil.example/graphql", "https://evil.example/graphql", "/\\evil.example", ""])
def test_endpoint_on_another_host_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="path of this server"):
        client_with(None, endpoint)


def test_headers_are_never_given_to_storage_by_our_script() -> None:
    script = (WEB / "graphiql.js").read_text(encoding="utf-8")
    assert "localStorage" not in script
    assert "shouldPersistHeaders: false" in script
    assert 'HISTORY = ["graphiql:queries", "graphiql:favorites"]' in script
