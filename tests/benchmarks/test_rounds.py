from __future__ import annotations

from benchmarks.rounds import Figure, differences, interleaved, median_interval, ratios


def test_everybody_is_measured_once_per_round_and_nobody_always_follows_the_same() -> None:
    order: list[str] = []

    def contender(name: str) -> float:
        order.append(name)
        return float(len(order))

    names = ("a", "b", "c")
    samples = interleaved({name: lambda name=name: contender(name) for name in names}, rounds=3)  # type: ignore[misc]
    assert "".join(order) == "abcbcacab"
    assert samples == {"a": [1.0, 6.0, 8.0], "b": [2.0, 4.0, 9.0], "c": [3.0, 5.0, 7.0]}


def test_a_figure_is_taken_within_each_round() -> None:
    # The machine is ten times slower in the second round; the ratio does not see it.
    samples = {"ours": [1.0, 10.0], "theirs": [2.0, 20.0]}
    assert ratios(samples, "ours", "theirs") == [0.5, 0.5]
    assert differences(samples, "theirs", "ours") == [1.0, 10.0]


def test_the_interval_of_a_median_is_that_of_the_tables() -> None:
    # Ranks for 95 %, from tables of the sign test: 6 values have 1 and 6, 20 have 6 and 15, 100 have 40 and 61.
    assert median_interval([float(rank) for rank in range(1, 7)]) == (1, 6)
    assert median_interval([float(rank) for rank in range(1, 21)]) == (6, 15)
    assert median_interval([float(rank) for rank in range(1, 101)]) == (40, 61)
    assert median_interval([2.0, 1.0]) == (1.0, 2.0)
    assert median_interval([1.0]) == (1.0, 1.0)


def test_a_goal_that_the_interval_straddles_is_too_close_to_call() -> None:
    values = [1.0 + step / 100 for step in range(11)]
    assert Figure("what", "baseline", values, goal=1.20).verdict == "met"
    assert Figure("what", "baseline", values, goal=1.05).verdict == "too close to call"
    assert Figure("what", "baseline", values, goal=0.99).verdict == "missed"
    assert Figure("what", "baseline", values).verdict == ""
