"""The operations that this command sends: registered everywhere, so that officers and auditors work in production too.

`onesource lookup` writes its operation from the items named; in production a department registers the operations of its own application instead.
"""

from __future__ import annotations

from terminal import audit, audit_questions, grants, suspensions

SHIPPED = (
    *(audit.FIND, audit_questions.PATTERNS, audit_questions.STATISTICS),
    *(grants.APPLY, grants.DECIDE, grants.LIMIT, grants.END, grants.AGREEMENT, grants.SHOW, grants.LIST),
    *(suspensions.SUSPEND, suspensions.LIFT, suspensions.LIST, suspensions.DISABLE, suspensions.ENABLE),
    *(suspensions.DISABLEMENTS, suspensions.NOTICES),
)
"""Every document that the terminal sends as it stands here."""
