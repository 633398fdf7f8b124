"""For authors of plug-ins: the conformance tests, templates and the scaffold."""
