"""The command `t2fast`: one command a file, what they share in `options`."""
