"""Every exercise is answered: its checks hold, and its figure is there."""

from functools import partial

import pytest
from commands import command
from skipping import skip

from lenet.chapter import EXERCISES, Page
from lenet.chapter.page import console
from lenet.errors import DataError


def check(number: str, tmp_path) -> None:
    page = Page("en", tmp_path, console())
    EXERCISES[number].answer(page)
    kinds = [event.kind for event in page.events]
    assert kinds.count("check") >= 1
    assert kinds[-1] == "answer"
    for event in page.events:
        assert not event.file or (tmp_path / event.file).stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize("number", [exercise.number for exercise in EXERCISES.values()])
def test_the_answer_holds(number, tmp_path):
    try:
        check(number, tmp_path)
    except DataError as error:
        skip(f"its data cannot be reached: {error}")


def test_the_chapters_exercises_are_all_there():
    numbers = {e.number.rstrip("abcdefg") for e in EXERCISES.values()}
    listed = {1: 6, 2: 4, 3: 7, 4: 7, 5: 7, 6: 5, 7: 9}
    assert numbers == {f"{s}.{n}" for s, count in listed.items() for n in range(1, count + 1)}
    assert all(e.question.endswith(("?", ".", ")")) for e in EXERCISES.values())


ask = partial(command, "exercises")


def test_the_list_names_all_of_a_section_with_what_takes_long():
    done = ask("--list", "6", "--lang=zh")
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("6.")]
    assert [line[0] for line in lines] == [n for n in EXERCISES if n.startswith("6.")]
    assert all(line[1] == "R" and int(line[2]) >= 10 and line[3] == "s" for line in lines)
