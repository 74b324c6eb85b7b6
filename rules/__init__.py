"""The ruleset and the decision: pure, free of sockets and of the proxy."""
