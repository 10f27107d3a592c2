from spyderresp.authoring.replay._kills import Kills

def step_breakers(
    kills: Kills,
    limits: tuple[int, int, int, float, int, float],
) -> tuple[list[tuple[float, str, int, int]], int, int]: ...
