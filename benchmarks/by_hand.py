"""The same look-up by hand: a bare Starlette handler with five SQL queries. No identity, no case, no decision, no record."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

CITY = Path(os.environ["BENCHMARK_CITY"])
CODES: dict[str, dict[str, str]] = json.loads(os.environ["BENCHMARK_CODES"])


def _open(department: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{CITY / department}.db?mode=ro", uri=True, check_same_thread=False)


POLICE, CIVIL, LABOUR, FUND, BUREAU = map(
    _open, ("public-security", "civil-affairs", "human-resources", "housing-fund", "data-bureau")
)


def _compact(text: str | None) -> str | None:
    return text and f"{text[:4]}-{text[4:6]}-{text[6:]}"


def _slash(text: str | None) -> str | None:
    return text and text.replace("/", "-")


def _household(number: str) -> dict[str, Any] | None:
    row = POLICE.execute("SELECT XM,GMSFHM,XB,MZ,HJDZJD,HJDPCS,HJZT FROM T_HJXX WHERE GMSFHM=?", (number,)).fetchone()
    if row is None:
        return None
    return {
        "name": row[0],
        "idNumber": row[1],
        "sex": CODES["Sex"].get(row[2]),
        "ethnicGroup": CODES["EthnicGroup"].get(row[3]),
        "town": row[4],
        "policeStation": row[5],
        "status": CODES["RegistrationStatus"].get(row[6]),
    }


def _marriages(number: str) -> list[dict[str, Any]]:
    legacy = number[:6] + number[8:17]
    sql = "SELECT jhdjrq,lhdjrq,hyzk FROM hydj_xx WHERE gmsfhm IN (?,?) ORDER BY gxsj"
    return [
        {"marriedOn": row[0], "divorcedOn": row[1], "maritalStatus": CODES["MaritalStatus"].get(row[2])}
        for row in CIVIL.execute(sql, (number, legacy))
    ]


def _insurance(number: str) -> list[dict[str, Any]]:
    sql = (
        "SELECT AAC016,AAC031,AAE140,AAC030,AAB004,AAB034 FROM AC02 WHERE AAC002=? ORDER BY AAE036,AAC016,AAC031,AAE140"
    )
    return [
        {
            "employmentStatus": CODES["EmploymentStatus"].get(row[0]),
            "insuranceStatus": CODES["InsuranceStatus"].get(row[1]),
            "insuranceType": CODES["InsuranceType"].get(row[2]),
            "enrolledOn": _compact(row[3]),
            "employerName": row[4],
            "authority": row[5],
        }
        for row in LABOUR.execute(sql, (number,))
    ]


def _fund(number: str) -> dict[str, Any] | None:
    row = FUND.execute("SELECT GRZHZT,DWMC,DJRQ FROM DP_GRZH WHERE GRZJHM=?", (number,)).fetchone()
    if row is None:
        return None
    return {
        "accountStatus": CODES["HousingFundAccountStatus"].get(row[0]),
        "employerName": row[1],
        "registeredOn": _slash(row[2]),
    }


def _certificates(number: str) -> list[dict[str, Any]]:
    sql = (
        "SELECT cert_name,cert_number,issue_org,issue_date,valid_until,cert_state FROM ecert_index"
        " WHERE holder_code=? ORDER BY update_time,cert_name,cert_number"
    )
    return [
        {
            "certificateName": row[0],
            "certificateNumber": row[1],
            "issuedBy": row[2],
            "issuedOn": row[3],
            "validUntil": row[4],
            "status": CODES["CertificateStatus"].get(row[5]),
        }
        for row in BUREAU.execute(sql, (number,))
    ]


async def lookup(request: Request) -> Response:
    number = orjson.loads(await request.body())["variables"]["idNumber"]
    person = {
        "householdRegistration": _household(number),
        "marriageRegistrations": _marriages(number),
        "socialInsurance": _insurance(number),
        "housingFund": _fund(number),
        "electronicCertificates": _certificates(number),
    }
    return Response(orjson.dumps({"data": {"person": person}}), media_type="application/json")


app = Starlette(routes=[Route("/graphql", lookup, methods=["POST"])])
