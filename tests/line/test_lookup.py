"""The applicant look-up, as a clerk asks it."""

from __future__ import annotations

from demo.scene import QUERY
from tests.service import Service, use


def test_five_departments_answer_one_question(service: Service) -> None:
    applicant = service.examples.applicant.identifier
    case = service.accept("LOOKUP-1", ("APPLICANT", applicant))
    body = service.ask(QUERY, {"idNumber": applicant, "use": use(case)})
    assert "errors" not in body
    person = body["data"]["person"]
    assert person["householdRegistration"]["name"] == service.examples.applicant.name
    assert person["householdRegistration"]["idNumber"] == applicant
    assert person["marriageRegistrations"][0]["maritalStatus"] == "MARRIED"
    assert len(person["socialInsurance"]) >= 2
    assert person["housingFund"]["provenance"]["provider"] == "咸宁住房公积金中心"
    assert person["electronicCertificates"]
