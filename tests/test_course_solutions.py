"""The pages of answers are what the exercises say."""

from kit.course.check import exercises
from kit.course.solutions import FOLDER, pages


def test_the_pages_are_what_the_exercises_say():
    written = {page.name: page.read_text(encoding="utf-8") for page in FOLDER.glob("*.md")}
    assert written == pages(), "run: python -m kit.course.solutions"


def test_every_answer_is_folded_under_its_question():
    text = "".join(pages().values())
    for name, exercise in exercises().items():
        entry = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        shown, _, folded = entry.partition("<details>")
        assert shown.strip() == exercise.question, name
        assert exercise.solution in folded, name
    assert text.count("<details>") == text.count("</details>") >= 2 * len(exercises())
