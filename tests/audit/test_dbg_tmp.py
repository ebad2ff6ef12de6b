from tests.audit.test_service_record import *
def test_x(service):
    import time
    applicant = service.examples.applicant
    case = service.accept("RX", ("APPLICANT", applicant.identifier))
    body = service.ask(QUERY, {"idNumber": applicant.identifier, "use": use(case)})
    lines = service.ask("{ auditLines { lines { operationId } } }", role="auditor", department="data-bureau")
    op = body["extensions"]["operationId"]
    print(op in str(lines), len(str(lines)))
    f = service.scene.folder
    for one in sorted(f.glob("ledger*")): print(one.name, one.stat().st_size, op.encode() in one.read_bytes())
