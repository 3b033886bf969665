"""Equal questions are asked once for all who wait."""

import asyncio

import pytest

from supervisor.engine.operations.shared_answers import SharedAnswers


class Asked:
    """A slow question, and how often it was asked."""

    def __init__(self) -> None:
        self.count = 0
        self.answered = asyncio.Event()

    async def __call__(self) -> int:
        self.count += 1
        number = self.count
        await self.answered.wait()
        return number


def test_callers_during_a_question_share_the_next_one() -> None:
    async def story() -> None:
        shared, question = SharedAnswers[int](), Asked()
        first = asyncio.create_task(shared.ask("key", question))
        await asyncio.sleep(0.01)
        later = [asyncio.create_task(shared.ask("key", question)) for _ in range(20)]
        await asyncio.sleep(0.01)
        assert question.count == 1
        question.answered.set()
        assert await first == 1
        # An answer that was begun before they asked would be too old for them.
        assert await asyncio.gather(*later) == [2] * 20
        assert await shared.ask("key", question) == 3

    asyncio.run(story())


def test_callers_of_one_loop_iteration_share_one_question() -> None:
    async def story() -> None:
        shared, question = SharedAnswers[int](), Asked()
        question.answered.set()
        assert await asyncio.gather(*(shared.ask("key", question) for _ in range(9))) == [1] * 9
        assert await asyncio.gather(shared.ask(("a", 1), question), shared.ask(("a", 2), question)) == [2, 3]

    asyncio.run(story())


def test_a_caller_that_leaves_takes_the_answer_from_no_other() -> None:
    async def story() -> None:
        shared, question = SharedAnswers[int](), Asked()
        first, second = (asyncio.create_task(shared.ask("key", question)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        question.answered.set()
        assert await second == 1

    asyncio.run(story())


def test_an_error_reaches_all_callers_and_is_not_kept() -> None:
    async def story() -> None:
        shared = SharedAnswers[int]()

        async def fail() -> int:
            raise LookupError("gone")

        results = await asyncio.gather(*(shared.ask("key", fail) for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [LookupError] * 3
        question = Asked()
        question.answered.set()
        assert await shared.ask("key", question) == 1
        with pytest.raises(LookupError, match="gone"):
            await shared.ask("key", fail)

    asyncio.run(story())
