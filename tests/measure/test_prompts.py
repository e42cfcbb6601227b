import json
import re
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from speclight.errors import InvalidInput
from speclight.measure.prompts import (
    FAMILIES,
    Prompt,
    prompts_sha256,
    read_prompt_lines,
    read_prompts,
    select,
    shipped_prompts,
)

GOOD_LINE = '{"question_id": 7, "category": "qa", "turns": ["Why do cats purr?"]}'


def written(folder: Path, *lines: str, name: str = "question.jsonl", end: str = "\n") -> Path:
    path = folder / name
    path.write_bytes((end.join(lines) + end).encode("utf-8"))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_prompts(path)
    return str(caught.value)


def of_family(family: str) -> tuple[Prompt, ...]:
    return shipped_prompts([family])


# The prompts we ship


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_sixteen_prompts(family: str):
    prompts = of_family(family)
    assert [prompt.family for prompt in prompts] == [family] * 16


def test_shipped_ids_are_unique_even_without_the_family():
    prompts = shipped_prompts()
    assert len(prompts) == 16 * len(FAMILIES)
    assert len({prompt.prompt_id for prompt in prompts}) == len(prompts)
    assert len({prompt.prompt_id.rsplit("-", 1)[1] for prompt in prompts}) == len(prompts)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_two_prompts_of_a_family_start_with_the_same_five_words(family: str):
    openings = {tuple(prompt.turns[0].lower().split()[:5]) for prompt in of_family(family)}
    assert len(openings) == 16


@pytest.mark.parametrize("place", range(16))
def test_summarisation_passages_have_at_least_300_words(place: int):
    """Counted without the longer of first and last paragraph, one of which is the instruction."""
    (turn,) = of_family("summarisation")[place].turns
    words = [len(paragraph.split()) for paragraph in turn.split("\n\n")]
    assert sum(words) - max(words[0], words[-1]) >= 300


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "summarisation"])
def test_other_prompts_are_neither_a_fragment_nor_an_essay(family: str):
    words = [sum(len(turn.split()) for turn in prompt.turns) for prompt in of_family(family)]
    assert min(words) >= 5
    assert max(words) <= 250


def test_only_conversation_has_second_turns():
    families = {prompt.family for prompt in shipped_prompts() if len(prompt.turns) > 1}
    assert families == {"conversation"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shipped_file_reads_like_any_other(family: str):
    with resources.as_file(resources.files("speclight.measure") / "data" / f"{family}.jsonl") as path:
        assert read_prompts(path) == of_family(family)


# Choosing families


def test_families_come_in_shipping_order_and_once():
    chosen = shipped_prompts(["qa", "code", "qa"])
    assert chosen == of_family("code") + of_family("qa")


@pytest.mark.parametrize("families", [["code", "poetry"], "poetry", []])
def test_wrong_choice_lists_the_known_families(families: list[str] | str):
    with pytest.raises(InvalidInput, match=", ".join(FAMILIES)) as caught:
        shipped_prompts(families)
    assert ("'poetry'" if families else "no family") in str(caught.value)


def test_a_lone_name_is_a_family_and_not_its_letters():
    assert shipped_prompts("maths") == of_family("maths")


def test_select_knows_the_families_of_the_prompts_it_is_given():
    prompts = (Prompt("a-1", "tides", ("When is low water?",)), Prompt("a-2", "birds", ("Do owls migrate?",)))
    assert select(prompts, ["birds"]) == prompts[1:]
    with pytest.raises(InvalidInput, match=r"'code'.*tides, birds"):
        select(prompts, ["code"])


# Reading files


def test_an_eagle_file_takes_its_family_from_the_name_where_the_category_is_blank(tmp_path: Path):
    path = written(
        tmp_path,
        '{"question_id": 0, "category": "", "turns": ["Name a use for old jars."], "reference": ["Nails."]}',
        '{"question_id": 1, "turns": ["Translate «café» into Dutch."]}',
        '{"question_id": 2, "category": "math", "turns": ["Halve 31.", "And again?"]}',
        name="household.jsonl",
    )
    assert read_prompts(path) == (
        Prompt("household-0", "household", ("Name a use for old jars.",)),
        Prompt("household-1", "household", ("Translate «café» into Dutch.",)),
        Prompt("math-2", "math", ("Halve 31.", "And again?")),
    )


def test_a_spec_bench_file_gives_one_family_per_category(tmp_path: Path):
    path = written(
        tmp_path,
        '{"question_id": 81, "category": "writing", "turns": ["Describe a ferry.", "Now in rhyme."]}',
        '{"question_id": 161, "category": "translation", "turns": ["Auf Deutsch: the kettle sings."]}',
        '{"question_id": 481, "category": "rag", "turns": ["Where is the key? Context: under the mat."]}',
    )
    assert [prompt.family for prompt in read_prompts(str(path))] == ["writing", "translation", "rag"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n\n"])
def test_line_ends_and_blank_trailing_lines(tmp_path: Path, end: str):
    path = tmp_path / "question.jsonl"
    path.write_bytes((GOOD_LINE + end).encode())
    assert [prompt.prompt_id for prompt in read_prompts(path)] == ["qa-7"]


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path):
    path = tmp_path / "question.jsonl"
    path.write_text(GOOD_LINE, encoding="utf-8-sig")
    assert [prompt.prompt_id for prompt in read_prompts(path)] == ["qa-7"]


@given(st.lists(st.lists(st.text().filter(str.strip), min_size=1), min_size=1), st.booleans())
@example([["one\u2028line\x85only"]], False)  # line ends to str.splitlines, not to JSON lines
def test_any_text_survives_the_file(
    tmp_path_factory: pytest.TempPathFactory, questions: list, ascii_only: bool
):
    lines = [
        json.dumps({"question_id": number, "category": "any", "turns": turns}, ensure_ascii=ascii_only)
        for number, turns in enumerate(questions)
    ]
    path = written(tmp_path_factory.mktemp("questions"), *lines)
    assert [list(prompt.turns) for prompt in read_prompts(path)] == questions


# Refusing files


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "blank line"),
        ('{"question_id": 8, "turns": ["Why', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1, 2]", "got list of length 2"),
        ('"text"', "got 'text'"),
        ('{"turns": ["Hello?"]}', '"question_id" must be an integer, got no such key'),
        ('{"question_id": "8", "turns": ["Hello?"]}', "must be an integer, got '8'"),
        ('{"question_id": true, "turns": ["Hello?"]}', "must be an integer, got True"),
        (
            '{"question_id": 8, "category": null, "turns": ["Hello?"]}',
            '"category" must be a string, got None',
        ),
        ('{"question_id": 8}', '"turns" must be a non-empty list of strings, got no such key'),
        ('{"question_id": 8, "turns": []}', "non-empty list of strings, got list of length 0"),
        ('{"question_id": 8, "turns": "Hello?"}', "non-empty list of strings, got 'Hello?'"),
        ('{"question_id": 8, "turns": ["Hello?", 3]}', "turn 2 must be a string that is not blank, got 3"),
        ('{"question_id": 8, "turns": [" \\n"]}', r"turn 1 must be a string that is not blank, got ' \n'"),
        ('{"question_id": 8, "turns": ["\\ud83d"]}', "half a surrogate pair at character 0"),
    ],
)
def test_a_malformed_line_is_named_and_nothing_is_read(tmp_path: Path, line: str, complaint: str):
    path = written(tmp_path, GOOD_LINE, line, GOOD_LINE.replace("7", "9"))
    message = refusal(path)
    assert message.startswith(f"{path}, line 2: ")
    assert complaint in message
    assert len(message) < 600 + len(str(path))  # a long line is not repeated whole


def test_a_repeated_id_names_both_lines(tmp_path: Path):
    message = refusal(written(tmp_path, GOOD_LINE, GOOD_LINE.replace("7", "8"), GOOD_LINE))
    assert re.search(r"line 3: question_id 7 was already used on line 1; give each prompt", message)


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path):
    path = tmp_path / "question.jsonl"
    path.write_bytes(f"{GOOD_LINE}\n{GOOD_LINE.replace('cats', 'Bärte')}".encode("latin-1"))
    assert refusal(path) == f"{path}, line 2: byte 0xe4 is not UTF-8 text; save the file as UTF-8"


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf"])
def test_an_empty_file_says_what_was_expected(tmp_path: Path, content: bytes):
    path = tmp_path / "question.jsonl"
    path.write_bytes(content)
    assert refusal(path).startswith(f"the prompt file {path} is empty; expected one JSON object per line")


def test_a_missing_file_and_a_folder_are_refused_with_the_reason(tmp_path: Path):
    missing = refusal(tmp_path / "nowhere.jsonl")
    assert "nowhere.jsonl: No such file or directory; expected a readable file" in missing
    assert f"{tmp_path}: Is a directory; expected a readable file" in refusal(tmp_path)


# Prompt and its provenance


@pytest.mark.parametrize(
    ("prompt_id", "family", "turns"),
    [
        ("", "qa", ("Why?",)),
        ("qa-1", " ", ("Why?",)),
        ("qa-1", "qa", ()),
        ("qa-1", "qa", "Why?"),
        ("qa-1", "qa", ("",)),
    ],
)
def test_a_prompt_checks_its_fields(prompt_id: str, family: str, turns: tuple[str, ...]):
    with pytest.raises(InvalidInput, match="must be a"):
        Prompt(prompt_id, family, turns)


def test_the_hash_sees_every_field_and_the_order_but_not_the_file(tmp_path: Path):
    first, second = Prompt("qa-1", "qa", ("Why?", "How?")), Prompt("qa-2", "qa", ("When?",))
    variants = [
        (first, second),
        (second, first),
        (first,),
        (Prompt("qa-3", "qa", first.turns), second),
        (Prompt("qa-1", "maths", first.turns), second),
        (Prompt("qa-1", "qa", ("Why?How?",)), second),
        (Prompt("qa-1", "qa", ("Why?", "How? ")), second),
    ]
    assert len({prompts_sha256(prompts) for prompts in variants}) == len(variants)
    plain = written(tmp_path, GOOD_LINE, name="plain.jsonl")
    spaced = written(
        tmp_path, GOOD_LINE.replace(": ", " :  ").replace("}", ', "reference": []}'), name="x.jsonl"
    )
    assert prompts_sha256(read_prompts(plain)) == prompts_sha256(read_prompts(spaced))


# Prompts on lines of their own


def test_lines_end_at_line_feeds_alone_and_a_byte_order_mark_is_no_text(tmp_path: Path):
    lines = ["first\u2028still the first", "second\fand\x0band\u0085and\x1cso on ", "  third"]
    path = tmp_path / "prompts.txt"
    for end in ("\n", "\r\n"):
        path.write_bytes(b"\xef\xbb\xbf" + end.join([lines[0], " ", *lines[1:], ""]).encode())
        assert read_prompt_lines(path) == tuple(lines)
    path.write_bytes(b"")
    assert read_prompt_lines(path) == ()


def test_files_of_lines_that_cannot_be_read(tmp_path: Path):
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"good\nbad \xff\n")
    with pytest.raises(InvalidInput, match="line 2: byte 0xff is not UTF-8"):
        read_prompt_lines(path)
    with pytest.raises(InvalidInput, match="one prompt on each line"):
        read_prompt_lines(tmp_path)


@pytest.mark.parametrize("read", [read_prompts, read_prompt_lines])
def test_no_more_is_read_than_any_model_takes_in(read, tmp_path, monkeypatch):
    """A device without end is read up to the bound; lines are measured in characters, not bytes."""
    monkeypatch.setattr("speclight.measure.prompts.FILE_BYTES", 400)
    monkeypatch.setattr("speclight.measure.prompts.LINE_CHARACTERS", 90)
    with pytest.raises(InvalidInput, match="more than 400 bytes"):
        read("/dev/zero")
    line = json.dumps({"question_id": 1, "turns": ["\u00e9" * 50]}, ensure_ascii=False)
    assert len(line) < 90 < len(line.encode())
    assert len(read(written(tmp_path, line))) == 1
    with pytest.raises(InvalidInput, match=r"line 2: 91 characters, expected at most 90"):
        read(written(tmp_path, line, "x" * 91))
