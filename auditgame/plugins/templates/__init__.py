"""Working examples, one per kind of plug-in: what `auditgame new` starts a file with."""
