"""One working example for each kind of plug-in, which `auditgame new` copies."""
