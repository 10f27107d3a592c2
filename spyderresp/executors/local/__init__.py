"""Processes of this host: read, recognised, held by pidfd, and only then touched. Linux only."""
