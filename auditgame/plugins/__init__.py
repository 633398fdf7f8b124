"""For authors of plug-ins: conformance tests, templates, and `auditgame new`."""
