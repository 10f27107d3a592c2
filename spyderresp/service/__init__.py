"""``spyderresp run`` without its command line: sources, rounds, reloads, metrics. docs/RUN.md says how it is used."""
