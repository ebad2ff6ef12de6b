"""School records of the demo city: of those at school, and of graduates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Any

from demo.people import TODAY, Family, Person, day_between
from demo.registers import about, authority, moment_after, serial
from demo.tables import Record

_STAGES = (  # (years of school before, after, GB/T 4658, school)
    (0, 6, "80", "实验小学"),
    (6, 9, "70", "初级中学"),
    (9, 12, "60", "第一高级中学"),
    (12, 15, "30", "咸宁职业技术学院"),
    (12, 16, "20", "湖北科技学院"),
    (16, 19, "10", "湖北科技学院"),
)
_MAJORS = ("护理学", "汉语言文学", "会计学", "机械电子工程", "计算机科学与技术", "临床医学", "生物工程", "茶学")
_DEGREES = {"20": "4", "10": "3"}  # GB/T 6864
_TALENTS = ("田径", "篮球", "书法", "民歌", "舞蹈", "乒乓球", "竹笛")
_LEAVINGS = ("转学", "家庭迁居", "身体原因")


def _stage(person: Person) -> tuple[int, int, str, str]:
    """The stage of school that a person is in, or the last one completed."""
    years = TODAY.year - person.born.year - 7
    if years < 9:
        return next(stage for stage in _STAGES if stage[0] <= years < stage[1])
    return next((stage for stage in _STAGES if stage[1] == person.schooling), _STAGES[1])


def _sometimes(rng: Random, share: float, text: str) -> str | None:
    return text if rng.random() < share else None


def _school_life(rng: Random, enrolled: date) -> dict[str, Any]:
    """What a school writes of its pupil."""
    marks = f"语文{60 + rng.randrange(40)} 数学{55 + rng.randrange(45)} 英语{50 + rng.randrange(50)}"
    return {
        "examResults": marks,
        "artsAndSports": _sometimes(rng, 0.3, rng.choice(_TALENTS)),
        "communityService": _sometimes(rng, 0.4, f"社区志愿服务{2 + rng.randrange(40)}小时"),
        "healthExamination": f"体质健康{rng.choice(('优秀', '良好', '及格'))}，视力{(40 + rng.randrange(13)) / 10}",
        "vaccination": _sometimes(rng, 0.8, f"{enrolled.year}年入学查验：预防接种齐全"),
        "awards": _sometimes(rng, 0.15, rng.choice(("三好学生", "优秀学生干部", "市级数学竞赛三等奖"))),
        "financialAid": _sometimes(rng, 0.1, rng.choice(("国家助学金", "义务教育家庭经济困难学生生活补助"))),
    }


def _interruptions(rng: Random, school: str, first: date, last: date) -> dict[str, Any]:
    """A change of school, a suspension, or an early leave; nothing of it for most."""
    day, draw = day_between(rng, first + timedelta(days=30), last), rng.random()
    if draw < 0.06:
        return {"transferredOn": day, "transferredFrom": "武汉市" + school, "transferredTo": school}
    if draw < 0.11:
        return {"suspendedOn": day, "resumedOn": min(last, day + timedelta(days=180))}
    if draw < 0.15:
        return {"withdrawnOn": day, "leftOn": day, "leavingReason": rng.choice(_LEAVINGS)}
    return {}


def _graduation(rng: Random, level: str, school: str, day: date) -> dict[str, Any]:
    """What a graduate holds."""
    values: dict[str, Any] = {
        "finishedOn": day,
        "finishedSchool": school,
        "leftOn": day,
        "leavingReason": "毕业",
        "educationLevel": level,
        "diplomaNumber": f"{day:%Y}{serial(rng, 12)}",
    }
    if level in _DEGREES:
        values |= {
            "degree": _DEGREES[level],
            "degreeConferredOn": day,
            "degreeConferredBy": school,
            "degreeCertificateNumber": f"10927{_DEGREES[level]}{day:%Y}{serial(rng, 6)}",
        }
    return values


def school_record(rng: Random, person: Person) -> Record:
    """The record of the present or last school."""
    before, after, level, name = _stage(person)
    county, home = person.home.county, person.register
    school = name if before >= 12 else county.office(name)
    enrolled = date(person.born.year + 7 + before, 9, 1)
    finished = date(enrolled.year + after - before, 6, 30)
    values = about(person) | {
        "studentNumber": f"G{person.id_number}",
        "studentName": person.name,
        "sex": person.sex,
        "bornOn": person.born,
        "birthplace": home.county.title,
        "householdPlace": home.address,
        "enrolledOn": enrolled,
        "school": school,
        "schoolAddress": f"{county.title}{county.towns[0]}学府路{1 + len(name)}号",
        "major": rng.choice(_MAJORS) if before >= 12 else None,
        "registeredOn": enrolled,
        **authority(county, "教育局"),
    }
    values |= _school_life(rng, enrolled)
    values |= _interruptions(rng, school, enrolled, min(finished, TODAY))
    if finished < TODAY and "withdrawnOn" not in values:
        values |= _graduation(rng, level, school, finished)
    return Record("StudentRecord", moment_after(rng, min(finished, TODAY)), values)


def school_records(rng: Random, family: Family) -> Iterator[Record]:
    """School records of a family: of all pupils, and of half of those who finished school since 1990."""
    for place, person in enumerate(family.people):
        pupil = 0 <= TODAY.year - person.born.year - 7 < 9
        graduate = person.schooling >= 9 and person.born.year >= 1975 and (place == 0 or rng.random() < 0.5)
        if person.alive and (pupil or graduate):
            yield school_record(rng, person)
