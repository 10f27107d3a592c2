from spyderresp.authoring.replay._kills import Kills

def step_breakers(
    kills: Kills,
    limits: tuple[int, int, int, float, int, float],
) -> tuple[list[tuple[float, str, int, int]], int, int]:
    """Return what breakers would have done, were every kill tried at its own time.

    Args:
        kills: those that would be carried out are tried, in order of time.
        limits: for each policy, for each namespace, overall; the window; the limit while warming up, and how long that
            takes from the first kill on. Times in seconds.

    Returns:
        Time, breaker, limit and refused kills of each opening; kills refused; kills allowed.
    """
