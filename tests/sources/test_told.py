"""What is told of the sources, and to whom: the root field, the page of it, the metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app import application
from resolvers.breaker import State
from resolvers.metrics import MEDIA
from settings import WrongSettings, load_settings
from tests.service import Service, codes, write_settings
from web.sources import DOCUMENT, _row

PROVIDER, OTHER, SUPERVISOR = "housing-fund", "housing", "data-bureau"
ASKED = "housingFund { accountStatus provenance { updatedAt } } householdRegistration { name }"


@pytest.fixture(scope="module")
def asked(service: Service) -> Service:
    """A service that has been asked once."""
    case = service.accept("源-1", ("APPLICANT", service.examples.applicant.identifier))
    service.person(ASKED, service.examples.applicant.identifier, case)
    return service


@pytest.fixture
def tripped(asked: Service) -> Iterator[None]:
    """The provider's source is left alone, and did not answer when somebody looked."""
    source = asked.rooms.sources[PROVIDER]
    source.breaker.trip()
    source.answers = False
    yield
    source.breaker.reached()
    turn = source.breaker.admit()
    assert turn is not None
    source.breaker.note(turn, 0.0, False)
    source.answers = True
    assert source.breaker.state is State.CLOSED


def told(service: Service, **who: Any) -> dict[str, Any]:
    body = service.ask(DOCUMENT, **who)
    assert "errors" not in body
    return {one["department"]: one for one in body["data"]["sources"]}


def test_clerks_are_not_told(asked: Service) -> None:
    body = asked.ask(DOCUMENT, role="clerk")
    assert (body["data"]["sources"], codes(body)) == (None, ["ROLE_REQUIRED"])


def test_developers_learn_states_and_no_details(asked: Service) -> None:
    found = told(asked, role="developer", department=PROVIDER)
    assert {one["state"] for one in found.values()} == {"CLOSED"}
    assert found[PROVIDER]["latency"]["p50"] > 0
    assert all(one["details"] is None for one in found.values())


@pytest.mark.parametrize(
    ("who", "department", "others"),
    [("officer", PROVIDER, False), ("officer", OTHER, None), ("officer", SUPERVISOR, True), ("auditor", OTHER, True)],
)
def test_details_are_for_the_department_itself_the_supervising_one_and_auditors(
    asked: Service, who: str, department: str, others: bool | None
) -> None:
    found = told(asked, role=who, department=department)
    assert (found[PROVIDER]["details"] is not None) == (others is not None)
    assert (found["public-security"]["details"] is not None) == bool(others)


def test_details_tell_calls_and_the_last_change_seen(asked: Service) -> None:
    details = told(asked, role="auditor")[PROVIDER]["details"]
    assert details["calls"] == 1
    assert details["errors"] == []
    (fresh,) = details["freshness"]
    assert fresh["title"] == asked.catalogue.resources["HousingFund"].title
    assert (fresh["days"] > 0, fresh["late"]) == (True, True)


def test_every_column_of_the_catalogue_is_there(asked: Service) -> None:
    assert {
        name: one["details"]["lacks"] for name, one in told(asked, role="auditor").items() if one["details"]["lacks"]
    } == {}


@pytest.mark.usefixtures("tripped")
def test_a_source_that_is_down_is_unreachable(asked: Service) -> None:
    assert told(asked, role="developer")[PROVIDER]["state"] == "UNREACHABLE"


@pytest.mark.usefixtures("tripped")
def test_callers_are_told_why_and_whom_to_turn_to(asked: Service) -> None:
    body = asked.person(ASKED, asked.examples.applicant.identifier, "源-1")
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "SOURCE_UNAVAILABLE"
    assert "暂停访问" in error["extensions"]["reason"]["zh"]
    assert error["extensions"]["contact"]
    assert body["data"]["person"]["householdRegistration"]["name"]


def test_who_looked_is_on_record(asked: Service) -> None:
    told(asked, role="auditor")
    (node,) = asked.frames()[-1]["nodes"]
    assert (node["path"], node["resource"]) == ("sources", "SourceStatus")


def _enter(service: Service, token: str) -> Any:
    service.client.cookies.clear()
    return service.client.post("/sources", data={"token": token}, follow_redirects=False)


def _page(service: Service, **who: Any) -> Any:
    entered = _enter(service, service.token(**who))
    assert (entered.status_code, entered.headers["location"]) == (303, "/sources")
    name, _, value = entered.headers["set-cookie"].partition(";")[0].partition("=")
    response = service.client.get("/sources", headers={"Cookie": f"{name}={value}"})
    service.client.cookies.clear()
    return response


@pytest.mark.usefixtures("tripped")
def test_page_shows_every_source_those_in_trouble_first(asked: Service) -> None:
    page = _page(asked, role="auditor").text
    titles = re.findall(r'<th scope="row">([^<]+)<', page)
    assert len(titles) == len(asked.rooms.sources)
    assert titles[0] == asked.catalogue.departments[PROVIDER].title
    assert "不可达" in page
    assert "周期内未见更新" in page
    assert f"{len(titles)} 个数据源" in page


def test_page_works_without_scripts_and_loads_nothing_from_elsewhere(asked: Service) -> None:
    response = _page(asked, role="auditor")
    assert "<script" not in response.text
    assert '<meta http-equiv="refresh" content="30">' in response.text
    assert re.findall(r'(?:src|href)="([^"]+)"', response.text) == ["data:,", "/static/sources.css"]
    assert re.search(r"<[^>]*\s(?:on\w+|style)=", response.text) is None
    directives = dict(one.strip().split(" ", 1) for one in response.headers["content-security-policy"].split(";"))
    assert directives == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "data:",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert response.headers["cache-control"] == "no-store"
    style = asked.client.get("/static/sources.css")
    assert (style.status_code, "url(" in style.text, "@import" in style.text) == (200, False, False)


def test_page_is_read_by_nobody_without_a_token(asked: Service) -> None:
    asked.client.cookies.clear()
    response = asked.client.get("/sources")
    assert response.status_code == 200
    assert 'type="password"' in response.text
    assert "<table" not in response.text
    assert 'http-equiv="refresh"' not in response.text


@pytest.mark.parametrize("token", ["nonsense", "a.b.c"])
def test_page_says_that_a_token_is_not_valid(asked: Service, token: str) -> None:
    entered = _enter(asked, token)
    response = asked.client.get("/sources", headers={"Cookie": entered.headers["set-cookie"].partition(";")[0]})
    assert response.status_code == 403
    assert "UNAUTHENTICATED" in response.text


def test_page_shows_a_clerk_that_the_role_is_missing(asked: Service) -> None:
    response = _page(asked, role="clerk")
    assert (response.status_code, "ROLE_REQUIRED" in response.text) == (403, True)


def test_token_is_kept_where_no_script_and_no_other_site_reaches_it(asked: Service) -> None:
    kept = _enter(asked, asked.token(role="auditor")).headers["set-cookie"].lower()
    assert all(word in kept for word in ("httponly", "samesite=strict", "path=/sources"))


def test_another_site_cannot_hand_in_a_token(asked: Service) -> None:
    response = asked.client.post("/sources", data={"token": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("token", ["a b", "a;path=/", 'a"', "a\r\nSet-Cookie: b=c", "令"])
def test_what_is_no_token_is_not_kept(asked: Service, token: str) -> None:
    assert "set-cookie" not in _enter(asked, token).headers


def test_leaving_forgets_the_token(asked: Service) -> None:
    assert "max-age=0" in _enter(asked, "").headers["set-cookie"].lower()


def test_form_is_bounded(asked: Service) -> None:
    assert asked.client.post("/sources", content=b"token=" + b"a" * 10_000).status_code == 413


def test_hostile_text_stays_text() -> None:
    hostile = "<script>alert(1)</script>"
    details = {
        "calls": 1,
        "errors": [{"code": hostile, "count": 1}],
        "retried": 0,
        "refused": 0,
        "underWay": 0,
        "waiting": 0,
    }
    details |= {
        "lacks": [{"title": hostile, "columns": [hostile]}],
        "freshness": [
            {"title": hostile, "updatedAt": "2026-01-01T00:00:00+08:00", "cycle": hostile, "days": 1, "late": True}
        ],
    }
    row = _row({"title": hostile, "contact": hostile, "state": hostile, "latency": None, "details": details})
    assert "<script" not in row


def _samples(text: str) -> dict[str, float]:
    """Every sample by its name and labels; AssertionError for a line that the format does not know."""
    sample = re.compile(r'([a-z_]+(?:\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})) ([0-9.e+-]+)')
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("# "):
            assert re.fullmatch(r"# (HELP [a-z_]+ .+|TYPE [a-z_]+ (gauge|counter|histogram))", line), line
            continue
        match = sample.fullmatch(line)
        assert match, line
        assert match[1] not in found, line
        found[match[1]] = float(match[2])
    return found


def test_metrics_are_of_the_format_and_count_the_calls(asked: Service) -> None:
    response = asked.client.get("/metrics")
    assert response.headers["content-type"] == MEDIA
    assert response.text.endswith("\n")
    samples = _samples(response.text)
    own = f'department="{PROVIDER}"'
    assert samples[f'onesource_source_calls_total{{{own},code="ANSWERED"}}'] >= 1
    assert samples[f'onesource_source_state{{{own},state="closed"}}'] == 1
    assert (
        samples[f'onesource_source_call_seconds_bucket{{{own},le="+Inf"}}']
        == samples[f"onesource_source_call_seconds_count{{{own}}}"]
    )
    buckets = [
        value for name, value in samples.items() if name.startswith(f"onesource_source_call_seconds_bucket{{{own}")
    ]
    assert buckets == sorted(buckets)
    assert len({name for name in samples if name.startswith("onesource_source_retried_total")}) == len(
        asked.rooms.sources
    )


def test_metrics_and_page_tell_no_place_of_a_source(asked: Service) -> None:
    for text in (asked.client.get("/metrics").text, _page(asked, role="auditor").text):
        assert str(asked.scene.city) not in text
        assert "sqlite" not in text
        assert "SELECT" not in text
        assert asked.examples.applicant.identifier not in text


def _client(service: Service, **changed: Any) -> TestClient:
    settings = service.settings.model_copy(
        update={name: value for name, value in changed.items() if name == "demo"}
        | {"server": service.settings.server.model_copy(update={k: v for k, v in changed.items() if k != "demo"})}
    )
    return TestClient(application(service.rooms, settings))  # not entered: the rooms are open already


def test_metrics_are_not_there_without_a_token_in_earnest(asked: Service) -> None:
    assert _client(asked, demo=False).get("/metrics").status_code == 404


def test_metrics_need_the_collector_s_token_where_there_is_one(asked: Service, tmp_path: Path) -> None:
    file = tmp_path / "metrics.token"
    file.write_text("0123456789abcdef\n")
    client = _client(asked, demo=False, metrics_token_file=file)
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer 0123456789abcdeX"}).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer 0123456789abcdef"}).status_code == 200


@pytest.mark.parametrize("content", [None, "short", "令牌令牌令牌令牌令牌令牌令牌令牌"])
def test_a_token_file_that_holds_none_is_a_wrong_setting(asked: Service, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "metrics.token"
    if content is not None:
        file.write_text(content, "utf8")
    with pytest.raises(WrongSettings, match=r"server\.metrics_token_file"):
        _client(asked, metrics_token_file=file)


def test_the_token_s_file_is_seen_from_the_settings(tmp_path: Path) -> None:
    file = write_settings(tmp_path)
    file.write_text(file.read_text("utf8").replace("# metrics_token_file", "metrics_token_file"), "utf8")
    assert load_settings(file).server.metrics_token_file == tmp_path / "metrics.token"


def test_a_token_over_plain_http_is_kept_in_a_demo_only(asked: Service) -> None:
    kept = _client(asked, demo=False).post("/sources", data={"token": "a.b.c"}, follow_redirects=False)
    assert "; secure" in kept.headers["set-cookie"].lower()
    assert "; secure" not in _enter(asked, "a.b.c").headers["set-cookie"].lower()
