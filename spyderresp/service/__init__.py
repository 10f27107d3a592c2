"""The service behind ``spyderresp run``: sources, intake, loop, reloads, metrics. docs/RUN.md explains its use."""
