"""Words of Chinese, Japanese and Korean sentences."""

from __future__ import annotations

import os
import threading

import pytest

from ragvec.text.analyzers import analyzer

NEEDS = {"zh": "rjieba", "ja": "sudachipy", "ko": "kiwipiepy"}

FOUND = [
    ("zh", "我来到北京清华大学研究生命科学。", "北京 清华 大学 清华大学 生命科学"),
    ("zh", "武汉市长江大桥在２０２４年维修，编号AB-1234。", "长江 大桥 2024 维修 ab-1234"),
    ("zh", "这台iPhone的GPU用途很广", "iphone gpu 用途"),
    ("ja", "昨日、東京都庁でカレーを食べました。", "東京 都庁 カレー 食べる 食べた"),
    ("ja", "ｻｰﾊﾞｰを再起動する手順（AB-1234）", "サーバー サーバ 再起動 手順 ab-1234"),
    ("ja", "資料を打込んだ", "打ち込む 資料"),
    ("ko", "학교에서 공부하는 학생들이 책을 읽었습니다.", "학교 공부 학생 책 읽는다 학교의"),
    ("ko", "아이폰과 iPhone을 샀다, 번호는 AB-1234입니다", "아이폰 iphone ab-1234"),
    ("ko", "한국어 형태소 분석기를 사용했다", "한국어 형태소 사용"),
]
NOT_FOUND = [
    ("zh", "武汉市长江大桥", "市长"),
    ("zh", "他和服务员说话", "和服"),
    ("ja", "東京都に住む", "京都"),
    ("ko", "아버지가 방에 들어가신다", "가방"),
]


@pytest.mark.parametrize(("language", "sentence", "words"), FOUND)
def test_words_are_found_in_a_sentence(language: str, sentence: str, words: str) -> None:
    pytest.importorskip(NEEDS[language])
    there = set(analyzer(language).tokens(sentence))
    for word in words.split():
        assert analyzer(language).tokens(word)
        assert there.issuperset(analyzer(language).tokens(word)), (word, analyzer(language).tokens(word), there)


@pytest.mark.parametrize(("language", "sentence", "word"), NOT_FOUND)
def test_a_word_across_the_borders_of_others_is_not_found(language: str, sentence: str, word: str) -> None:
    pytest.importorskip(NEEDS[language])
    assert not set(analyzer(language).tokens(word)) & set(analyzer(language).tokens(sentence))


def test_a_korean_word_that_kiwi_divides_by_its_surroundings_is_found_as_a_whole() -> None:
    pytest.importorskip("kiwipiepy")
    assert "분석기" in analyzer("ko").tokens("분석기")
    assert "분석기" in analyzer("ko").tokens("한국어 형태소 분석기를 사용했다")


@pytest.mark.parametrize("language", sorted(NEEDS))
def test_threads_get_the_same_terms(language: str) -> None:
    pytest.importorskip(NEEDS[language])
    shared = analyzer(language)
    text = " ".join(sentence for code, sentence, _ in FOUND if code == language) * 20
    expected, found = shared.tokens(text), []
    threads = [threading.Thread(target=lambda: found.append(shared.tokens(text))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_fork_has_the_same_terms() -> None:
    pytest.importorskip("kiwipiepy")
    expected = analyzer("ko").tokens("학교에서 읽었다")
    child = os.fork()
    if not child:
        os._exit(0 if analyzer("ko").tokens("학교에서 읽었다") == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
