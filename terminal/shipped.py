"""The operations that this command sends: registered everywhere, so that officers, auditors and data subjects are served in production too.

`onesource lookup` writes its operation from the items named; in production a department registers the operations of its own application instead.
"""

from __future__ import annotations

from terminal import audit, audit_questions, citizens, corrections, grants, reidentify, suspensions

SHIPPED = (
    *(audit.FIND, audit_questions.PATTERNS, audit_questions.STATISTICS, citizens.MINE),
    *(grants.APPLY, grants.DECIDE, grants.LIMIT, grants.END, grants.AGREEMENT, grants.SHOW, grants.LIST),
    *(suspensions.SUSPEND, suspensions.LIFT, suspensions.LIST, suspensions.DISABLE, suspensions.ENABLE),
    *(suspensions.DISABLEMENTS, suspensions.NOTICES),
    *(corrections.AFFECTED, corrections.RECORD, corrections.LIST),
    *(reidentify.REQUEST, reidentify.APPROVE, reidentify.REVEAL, reidentify.LIST),
)
"""Every document that the terminal sends as it stands here."""
