"""Two checkouts beside each other: do the same commands give the same records, texts and verdicts?

    python tools/compare_checkouts.py BEFORE AFTER --out out/compared [--default]

Both run the same command lines (a flag that an earlier version lacks is left out, one that it spelled
otherwise is spelled so) on a toy target, with --default on the default target too. Files of records are
compared byte by byte, and where bytes differ column by column; JSON documents leaf by leaf, times left out.
Ends with 1 if something differs: what CHANGELOG.md does not explain is a fault.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Runs every command line of stdin (JSON) in one process, and writes what each printed to stdout as JSON.
DRIVER = """
import contextlib, io, json, sys
from speclight.cli.main import main
done = []
for arguments in json.load(sys.stdin):
    text = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(text):
        code = main(arguments)
    text.flush()
    done.append([code, text.buffer.getvalue().decode()])
sys.__stdout__.write(json.dumps(done))
"""
# Flags by their present name, and what earlier versions called them; None: they had none.
EARLIER = {"--kernels": None, "--layers": "--draft-layers"}
RULES = (
    *("target_sample", "greedy", "rejection", "rejection_without_replacement", "block", "traversal"),
    *("k_seq", "race", "race_with_replacement", "gls"),
)
# Keys of JSON documents that schema 1 called otherwise.
RENAMED = {"budget": "node_budget"}
NO_MATTER = re.compile(r"seconds|per_second|speed|machine|folder|^schema$|threads")
WORDS = [f"w{number}" for number in range(40)]


def make_toy(folder: Path) -> None:
    """A Llama of three layers with random weights and a tokenizer of forty words."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    places = {word: place for place, word in enumerate([*WORDS, "<end>"])}
    words = Tokenizer(WordLevel(places, unk_token="w0"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS) + 1,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=256,
        initializer_range=0.6,
        bos_token_id=None,
        eos_token_id=len(WORDS),
        pad_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def command_lines(target: list[str], families: list[str], drafters: list[list[str]]) -> list[list[str]]:
    common = [*target, "--threads", "1", "--kernels", "eager", "--json"]
    amounts = ["--max-tokens", "24", "--batch-size", "64", "--seed", "3"]
    searched = ["--profile", "profile", "--contexts", "4", "--budget", "1,2,4,8"]
    lines = [
        ["bound", "--mu", "1.5", "--mu2", "4", "--budget", "1,8,60", "--vocabulary", "64", "--json"],
        ["profile", *common, *families, *amounts, "--out", "profile"],
        ["bound", "--profile", "profile", "--budget", "4,16", "--json"],
        ["oracle", *common, *searched, "--out", "oracle"],
    ]
    for rule in RULES:
        for number, drafter in enumerate(drafters):
            temperature = "0" if rule == "greedy" else "1"
            asked = ["--prompt", "w1 w2 w3", "--raw", "--rule", rule, "--temperature", temperature]
            amounts = ["--budget", "6", "--max-tokens", "24", "--seed", str(5 + number)]
            lines.append(["generate", *common, *asked, *drafter, *amounts])
    return lines


def spelled(line: list[str], help_text: str) -> list[str]:
    """The command line as a version spells it whose help of that command this is."""
    words: list[str] = []
    flags = iter(line)
    for word in flags:
        known = not word.startswith("--") or re.search(rf"{word}\b", help_text)
        if known or EARLIER.get(word, word) is not None:
            words.append(word if known else EARLIER[word] or word)
        else:
            next(flags)
    return words


def run(checkout: Path, lines: list[list[str]], folder: Path) -> list[tuple[int, str]]:
    """Code and stdout of each command line, run by the code of a checkout inside of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}

    def driven(given: list[list[str]]) -> list[tuple[int, str]]:
        done = subprocess.run(
            [sys.executable, "-c", DRIVER],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            cwd=folder,
            env=environment,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        return [(code, text) for code, text in json.loads(done.stdout)]

    commands = list(dict.fromkeys(line[0] for line in lines))
    helps = dict(zip(commands, driven([[name, "--help"] for name in commands]), strict=True))
    return driven([spelled(line, helps[line[0]][1]) for line in lines])


def leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Every number and text of a document under its path, those left out that a run alone decides."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else named(value)
        for key, item in items:
            if not NO_MATTER.search(str(key)):
                here = RENAMED.get(str(key), str(key))
                yield from leaves(item, f"{name}.{here}" if name else here)
    else:
        yield name, value


def named(items: list[object]) -> Iterator[tuple[str, object]]:
    """The items of a list under their names where they have some: a new statement moves no others."""
    for place, item in enumerate(items):
        yield str(item["name"] if isinstance(item, dict) and "name" in item else place), item


def compared_documents(line: list[str], before: tuple[int, str], after: tuple[int, str]) -> list[str]:
    if before[0] or after[0]:
        return [f"{' '.join(line)}: ended with {before[0]} and {after[0]}"] if before != after else []
    old, new = (dict(leaves(json.loads(text))) for _, text in (before, after))
    differing = [name for name in old if name in new and old[name] != new[name]]
    differing += [f"{name} (before alone)" for name in old.keys() - new.keys()]
    return [f"{line[0]} {name}: {old.get(name)} and {new.get(name)}" for name in sorted(differing)[:12]]


def compared_records(before: Path, after: Path) -> tuple[int, list[str]]:
    names = sorted(path.relative_to(before) for path in before.rglob("*.parquet"))
    told: list[str] = []
    for name in names:
        if digest(before / name) != digest(after / name):
            told.append(f"{name}: {compared_columns(before / name, after / name)}")
    return len(names), told


def compared_columns(before: Path, after: Path) -> str:
    """In what two tables differ whose bytes do."""
    import pyarrow.parquet as pq

    if not after.is_file():
        return "missing"
    old, new = pq.read_table(before), pq.read_table(after)
    told = [f"{name} is new" for name in new.column_names if name not in old.column_names]
    told += [f"{name} is gone" for name in old.column_names if name not in new.column_names]
    for name in (name for name in old.column_names if name in new.column_names):
        one, other = old[name].to_pylist(), new[name].to_pylist()
        if len(one) != len(other):
            return f"{len(one)} rows and {len(other)}"
        pairs = [(x, y) for x, y in zip(one, other, strict=True) if x != y]
        if pairs and all(isinstance(x, float) and isinstance(y, float) for x, y in pairs):
            largest = max(abs(x - y) / max(abs(x), abs(y)) for x, y in pairs)
            told.append(
                f"{name} in {len(pairs)} of {len(one)} rows, by {largest:.1e} of the value at the most"
            )
        elif pairs:
            told.append(f"{name} in {len(pairs)} of {len(one)} rows")
    return "; ".join(told) or "other bytes, the same values"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="an empty folder for both runs")
    parser.add_argument("--default", action="store_true", help="the default target too")
    options = parser.parse_args()
    out = options.out.resolve()
    toy, prompts = out / "toy", out / "prompts.jsonl"
    make_toy(toy)
    rows = [{"question_id": n, "category": "toy", "turns": [" ".join(WORDS[n : n + 5])]} for n in range(6)]
    prompts.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    none = [["--drafter", "none"], ["--drafter", "ngram"], ["--drafter", "layer_skip", "--layers", "2"]]
    runs = {"toy": command_lines(["--target", str(toy)], ["--prompts", str(prompts)], none)}
    if options.default:
        drafters = [["--drafter", "ngram"], ["--drafter", "eagle3"]]
        runs["default"] = command_lines([], ["--families", "code"], drafters)
    told: list[str] = []
    for name, lines in runs.items():
        folders = [out / f"{name}-{side}" for side in ("before", "after")]
        results = [
            run(checkout.resolve(), lines, folder)
            for checkout, folder in zip((options.before, options.after), folders, strict=True)
        ]
        for line, before, after in zip(lines, *results, strict=True):
            told += [f"{name}: {each}" for each in compared_documents(line, before, after)]
        count, differing = compared_records(*folders)
        told += [f"{name}: {each}" for each in differing]
        sys.stdout.write(f"{name}: {len(lines)} commands, {count} files of records\n")
    sys.stdout.write("".join(f"{each}\n" for each in told) or "all alike\n")
    sys.exit(1 if told else 0)


if __name__ == "__main__":
    main()
