"""Texts of unknown encoding are decoded as they were meant, or refused with the line."""

import codecs
import logging

import pytest

from exhubert.emoset.readers.text import check_encoding, decode_text

TABLES = {
    "de": "für.wav,Ärger,Jürgen\nstraße.wav,Müdigkeit,Zoë\n",
    "fr": "a.wav,colère,Hélène\nb.wav,dégoût,anna\n",
    "es": "niño.wav,alegría,José\ncorazón.wav,tristeza,Peña\n",
    "pl": "żal.wav,złość,Łukasz\nradość.wav,radość,Świętosława\n",
    "es-names": "a.wav,José\nb.wav,Núñez\nc.wav,Begoña\n",
    "en": "a.wav,It\u2019s a caf\u00e9\nb.wav,\u201cFianc\u00e9e\u201d \u2013 she\u2019s here\n",
    "tr-names": "a.wav,Ayşe\nb.wav,Çağrı\nc.wav,Işıl\n",  # noqa: RUF001
    "tr": "öfke.wav,öfke,Şahin\nüzüntü.wav,üzüntü,Ağaoğlu\n",
    "ru": "привет.wav,гнев,Анна\nвесна.wav,радость,Иван\n",  # noqa: RUF001
    "el": "θυμός.wav,θυμός,Γιώργος\n",
    "zh": "生气.wav,生气,王\n高兴.wav,高兴,李\n",
    "zh-Hant": "生氣.wav,生氣,王\n高興.wav,高興,李\n",
    "ja": "怒り.wav,怒り,田中\n喜び.wav,喜び,鈴木\n",
    "ko": "분노.wav,분노,김\n기쁨.wav,기쁨,이\n",
}
ENCODINGS = [
    *[("de", name) for name in ("cp1252", "latin-1", "iso8859-15", "mac-roman", "cp850")],
    *[
        ("fr", "cp1252"),
        ("es", "cp1252"),
        ("es-names", "cp1252"),
        ("en", "cp1252"),
        ("tr-names", "cp1254"),
        ("fr", "cp850"),
        ("fr", "mac-roman"),
        ("es", "cp850"),
        ("pl", "cp1250"),
        ("pl", "iso8859-2"),
        ("tr", "cp1254"),
        ("el", "cp1253"),
    ],
    *[("ru", "cp1251"), ("ru", "koi8-r"), ("ru", "cp866"), ("zh", "gb18030"), ("zh-Hant", "big5"), ("ja", "cp932")],
    *[("ja", "euc-jp"), ("ko", "cp949"), *((language, "utf-8") for language in TABLES)],
    *[(language, f"utf-16-{order}") for language in ("de", "zh") for order in ("le", "be")],
]


@pytest.mark.parametrize(("language", "encoding"), ENCODINGS)
def test_a_table_of_a_few_words_is_decoded_in_the_encoding_that_it_has(language, encoding):
    text = f"file,label,speaker\n{TABLES[language]}"
    assert decode_text(text.encode(encoding), "table.csv") == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_decides_whatever_encoding_is_given(encoding):
    mark = getattr(codecs, f"BOM_{encoding.upper().replace('-', '_').replace('UTF_', 'UTF')}")
    assert decode_text(mark + "für".encode(encoding), "table.csv", "cp1251") == "für"


def test_a_given_encoding_is_used_even_if_the_text_is_valid_utf_8():
    content = "ü".encode()
    assert decode_text(content, "table.csv", "cp1252") == "Ã¼"


@pytest.mark.parametrize("word", ["für", "Müller", "Zoë", "colère", "niño", "Ærø", "œuvre"])
def test_one_latin_word_among_ascii_rows_is_never_taken_for_chinese(word):
    rows = [f"rec_{number:03d}.wav,joy,anna\n" for number in range(60)]
    text = "file,label,speaker\n" + "".join([*rows, f"x.wav,joy,{word}\n", *rows])
    assert max(decode_text(text.encode("cp1252"), "table.csv")) < "\u0400", "letters of no other script than Latin"


@pytest.mark.parametrize(("encoding", "word"), [("cp1251", "привет"), ("koi8-r", "радость"), ("cp949", "분노")])
def test_one_word_of_another_script_among_ascii_rows_is_not_taken_for_latin(encoding, word):
    rows = [f"rec_{number:03d}.wav,joy,anna\n" for number in range(60)]
    text = "file,label,speaker\n" + "".join([*rows, f"x.wav,{word},anna\n", *rows])
    assert decode_text(text.encode(encoding), "table.csv") == text


def test_the_encoding_that_is_guessed_is_said_with_an_example(caplog):
    decode_text("a.wav,Jürgen\n".encode("cp1252"), "table.csv")
    assert "table.csv is read as cp1252" in caplog.text and "'Jürgen'" in caplog.text and "--encoding" in caplog.text
    caplog.clear()
    decode_text("a.wav,Jürgen\n".encode("cp1252"), "table.csv")
    assert not caplog.records, "said once, however often the file is read"
    decode_text("a.wav,Jürgen\n".encode(), "table.csv")
    assert not caplog.records


def test_a_stray_byte_in_a_utf_8_text_is_refused_with_its_line_or_replaced(caplog):
    content = "a,Jürgen\nb,Jürgen\n".encode() + "c,Jürgen\n".encode("cp1252")
    with pytest.raises(ValueError, match=r"table.csv, line 3: byte 0xFC in J\\xfcrgen isn't utf-8"):
        decode_text(content, "table.csv")
    with caplog.at_level(logging.WARNING):
        assert decode_text(content, "table.csv", errors="replace") == "a,Jürgen\nb,Jürgen\nc,J\ufffdrgen\n"
    assert "line 3" in caplog.text


def test_a_text_of_which_a_smaller_part_is_utf_8_is_refused_too():
    content = "a,Jürgen\nb,Zoë\nc,Jürgen\n".encode("cp1252") + "d,Jürgen\n".encode()
    with pytest.raises(ValueError, match="table.csv: line 4 is UTF-8, but others are not, and seem to be cp1252"):
        decode_text(content, "table.csv")
    assert decode_text(content, "table.csv", "cp1252").endswith("JÃ¼rgen\n")


def test_what_is_no_text_or_no_encoding_is_a_sentence():
    with pytest.raises(ValueError, match="table.csv holds NUL bytes"):
        decode_text(b"a\0\xff\x01b", "table.csv")
    with pytest.raises(ValueError, match=r"no text encoding 'cp1525'; did you mean cp125\d"):
        check_encoding("cp1525")
    with pytest.raises(ValueError, match="no text encoding 'rot13'"):
        check_encoding("rot13")
    with pytest.raises(ValueError, match="table.csv, line 2: byte 0xE9 .* isn't ascii"):
        decode_text(b"a\n\xe9", "table.csv", "ascii")
