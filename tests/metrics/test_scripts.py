"""ROUGE and BLEU of texts that are not in Latin letters."""

from __future__ import annotations

import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from tests.small_data import data_of, labelled
from workbench.metrics.fitting import fit_metrics
from workbench.metrics.scores import score
from workbench.metrics.scripts import cutting
from workbench.recipe.catalogue import SPANS, TEXT
from workbench.recipe.tasks import Instruction
from workbench.tasks import make_task

NAMES = ("rouge1", "rouge2", "rouge_l", "bleu")
CHINESE = ["我们今天去北京看朋友。", "他在BBC工作了3年"]
JAPANESE = ["今日は友達に会いに東京へ行きます。", "彼はテレビを見ています"]
THAI = ["วันนี้อากาศดีมาก"]
RUSSIAN = ["Банк сообщил о росте прибыли.", "Матч закончился вничью"]
HINDI = ["आज मौसम बहुत अच्छा है"]
KOREAN = ["오늘은 친구를 만나러 서울에 갑니다"]
GERMAN = ["Die größte Bank meldet höhere Gewinne"]


@pytest.mark.parametrize("texts", [CHINESE, JAPANESE, THAI, RUSSIAN, HINDI, KOREAN, GERMAN])
def test_equal_texts_have_the_highest_score_in_every_script(texts: list[str]) -> None:
    best = dict.fromkeys(NAMES, 1.0) | {"bleu": 100.0}
    assert score(NAMES, TEXT, texts, texts) == pytest.approx(best)


@pytest.mark.parametrize(
    ("texts", "rouge", "bleu"),
    [
        (CHINESE, "characters", "zh"),
        (JAPANESE, "characters", "char"),
        (THAI, "characters", "char"),
        (RUSSIAN, "words", "13a"),
        (KOREAN, "words", "13a"),
        (GERMAN, "stems", "13a"),
        ([], "stems", "13a"),
        (["42", "..."], "stems", "13a"),
        (["The BBC says hello (你好)"], "stems", "13a"),
    ],
)
def test_the_script_of_most_letters_decides(texts: list[str], rouge: str, bleu: str) -> None:
    assert cutting(texts) == (rouge, bleu)


def test_rouge_of_characters_is_that_of_texts_with_spaces_between_them() -> None:
    """As rouge-score counts the same texts, each character spelled as a word of its own."""
    given, right = ["我今天去看他", "他在BBC"], ["今天我去看朋友", "他在BBC工作"]
    spelled = [[_spelled(text) for text in texts] for texts in (right, given)]
    scorer = RougeScorer(["rouge1", "rougeL"])
    each = [scorer.score(*pair) for pair in zip(*spelled, strict=True)]
    ours = score(("rouge1", "rouge_l"), TEXT, given, right)
    assert ours["rouge1"] == pytest.approx(sum(s["rouge1"].fmeasure for s in each) / 2)
    assert ours["rouge_l"] == pytest.approx(sum(s["rougeL"].fmeasure for s in each) / 2)


def _spelled(text: str) -> str:
    words = [c if c.isascii() else f" x{ord(c)} " for c in text]
    return "".join(words)


@pytest.mark.parametrize(
    ("given", "right", "tokeniser"),
    [
        (["我们今天去上海看朋友。"], CHINESE[:1], "zh"),
        (["今日は友達に会いに京都へ行きます。"], JAPANESE[:1], "char"),
        (["Банк сообщил о падении прибыли."], RUSSIAN[:1], "13a"),
    ],
)
def test_bleu_is_sacrebleus_with_the_tokeniser_of_the_script(
    given: list[str], right: list[str], tokeniser: str
) -> None:
    theirs = sacrebleu.corpus_bleu(given, [right], tokenize=tokeniser).score
    assert 0 < theirs < 100
    assert score(("bleu",), TEXT, given, right)["bleu"] == pytest.approx(theirs)


def test_answers_without_spaces_share_characters() -> None:
    """Worked by hand: MLQA's evaluation cuts Chinese between characters, and leaves BBC whole."""
    golds, given = [["北京大学"], ["在BBC"], ["上海"]], ["北京", "在BBC工作", "广州"]
    each = [2 * (2 / 2) * (2 / 4) / (2 / 2 + 2 / 4), 2 * (2 / 4) * 1 / (2 / 4 + 1), 0.0]
    assert score(["answer_f1"], SPANS, given, golds)["answer_f1"] == pytest.approx(sum(each) / 3)
    # Among answers in English, as SQuAD's script has it: words between spaces.
    english = [*golds, ["the longest river of the country"], ["another long answer in English"]]
    mixed = score(["answer_f1"], SPANS, [*given, "", ""], english)["answer_f1"]
    assert mixed == 0.0


def notes_of(*completions: str) -> str:
    split = labelled(completions)
    data = data_of(split, split, split)
    return " ".join(fit_metrics(make_task(Instruction(name="instruction"), ()), data)[1])


def test_what_is_counted_is_said() -> None:
    note = notes_of(*CHINESE)
    assert "rouge_l, rouge1 count characters" in note and "tok:zh" in note
    assert "count words" in notes_of(*RUSSIAN) and "tok:" not in notes_of(*RUSSIAN)
    assert not notes_of("four words are enough")
    assert "bleu is 0 for every answer" in notes_of("yes", "no")
