"""A wish that whoever waits is woken by, once, before or after it was expressed."""

from __future__ import annotations

import threading

from offload.cancellation import Cancellation


def test_each_wait_is_woken_once_and_an_ended_one_not_at_all():
    wish, woken = Cancellation(), list[str]()
    with wish.waking(lambda: woken.append("ended")):
        pass
    with wish.waking(lambda: woken.append("outer")), wish.waking(lambda: woken.append("inner")):
        assert not wish.wished
        wish.cancel()
        wish.cancel()
        assert wish.wished
    assert sorted(woken) == ["inner", "outer"]


def test_a_wait_that_begins_after_the_wish_is_woken_at_once():
    wish, woken = Cancellation(), list[str]()
    wish.cancel()
    with wish.waking(lambda: woken.append("late")):
        assert woken == ["late"]
    assert woken == ["late"]


def test_a_wait_on_a_condition_ends_whenever_the_wish_comes():
    """Wish and wait at the same moment, many times: none of them is missed, none waits for ever."""
    condition, missed = threading.Condition(), 0

    def wake() -> None:
        with condition:
            condition.notify_all()

    for _ in range(200):
        wish = Cancellation()
        thread = threading.Thread(target=wish.cancel)
        thread.start()
        with wish.waking(wake), condition:
            missed += not condition.wait_for(lambda: wish.wished, 30.0)  # noqa: B023
        thread.join()
    assert missed == 0
