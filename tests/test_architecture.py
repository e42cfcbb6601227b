"""The rules of the house, checked on the source text alone: nothing of speclight is imported here."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
MODULES = sorted(SOURCE.rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = PYPROJECT["tool"]["importlinter"]["contracts"]

MODULE_LINES_BELOW = 400
FUNCTION_LINES_BELOW = 50
# Modules beside the packages that any of them may import.
FOUNDATIONS = {"arrays", "checks", "errors", "progress", "seeds", "writing"}
# A module is named by the noun it defines; these name a drawer.
DRAWER_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
WITHOUT_DEEP_LEARNING = {"theory", "trees", "verification", *FOUNDATIONS}
DEEP_LEARNING = {"torch", "transformers", "safetensors", "gguf"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|raise NotImplementedError)\b")

# Ideas that were written several times once: what they look like, and the one module that has them.
ONE_PLACE: dict[str, tuple[str, set[str]]] = {
    "who sees whom": (r"\.tril\(|\.triu\(|torch\.block_diag\(", {"visibility.py"}),
    "growing a tree to its end": (r"while \w+ := \w+\.unexpanded\(\)", {"growing_tree.py"}),
    "places of a shape": (r"self\._places\.extend\(\[\] for", {"shaped_growth.py"}),
    "progress": (r"Callable\[\[int, int, str\], None\]", {"progress.py"}),
    "the plan of a run": (r'"weights_sha256": target\.loaded', {"plan.py"}),
    "kinds of records": (r"records of the kind", {"store.py"}),
    "folds of prompts": (r"% folds\b", {"folds.py"}),
    "colours": (r'"#[0-9a-fA-F]{6}"', {"palette.py", "curve_style.py"}),
    "the wrap of a transform": (r"WRAP_ATTENUATION = ", {"lattice.py"}),
}


@dataclass(frozen=True)
class Import:
    """An import statement, at module level or inside a function, for run time or for type checkers."""

    path: Path
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(SOURCE)}:{self.line} imports {self.module}"


def imports_of(path: Path, nodes: list[ast.AST]) -> Iterator[Import]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:  # `from speclight import cli` must count as speclight.cli
                yield Import(path, node.lineno, f"{node.module}.{alias.name}")


@dataclass(frozen=True)
class Module:
    """What the rules ask of a module, all found in one reading of it."""

    path: Path
    source: str
    imports: list[Import]
    flags_in_messages: list[str]
    begins_with_arguments: list[str]
    long_functions: list[str]


@cache
def modules() -> list[Module]:
    return [read(path) for path in MODULES]


def read(path: Path) -> Module:
    source = path.read_text(encoding="utf-8")
    nodes = nodes_of(source)
    return Module(
        path,
        source,
        list(imports_of(path, nodes)),
        flags_in_messages(nodes),
        begins_with_arguments(nodes),
        long_functions(nodes),
    )


def nodes_of(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def all_imports() -> list[Import]:
    return [found for module in modules() for found in module.imports]


def package_of(path: Path) -> str:
    """`theory` for theory/x.py, `errors` for errors.py; empty for __init__.py and __main__.py."""
    name = path.relative_to(SOURCE / "speclight").with_suffix("").parts[0]
    return "" if name in ("__init__", "__main__") else name


def reachable() -> dict[str, set[str]]:
    """Package -> packages it may import: those of the layers below its own, and itself."""
    (contract,) = (contract for contract in CONTRACTS if contract["type"] == "layers")
    layers = [
        [name.strip(" ()").removeprefix("speclight.") for name in layer.split("|")]
        for layer in contract["layers"]
    ]
    return {
        package: {package, *(name for below in layers[depth + 1 :] for name in below)}
        for depth, layer in enumerate(layers)
        for package in layer
    }


def upward_imports(imports: list[Import]) -> list[str]:
    allowed = reachable()
    wrong: list[str] = []
    for found in imports:
        package, target = package_of(found.path), found.module.split(".")
        if package and target[0] == "speclight" and len(target) > 1 and target[1] in allowed:
            if target[1] not in allowed[package]:
                wrong.append(str(found))
    return wrong


def deep_learning_imports(imports: list[Import]) -> list[str]:
    """Where the mathematics would need a deep-learning stack; of the rules, batched.py alone may."""
    return [
        str(found)
        for found in imports
        if package_of(found.path) in WITHOUT_DEEP_LEARNING
        and found.path.name != "batched.py"
        and found.module.split(".")[0] in DEEP_LEARNING
    ]


def array_aliases(source: str) -> list[str]:
    """Names given to array types, which belong in arrays.py."""
    return re.findall(r"^(\w+)(?:: TypeAlias)? = npt\.NDArray\[", source, flags=re.MULTILINE)


def makes_a_generator(source: str) -> bool:
    """Whether a random stream of NumPy is opened here, which seeds.py does for all."""
    return re.search(r"np\.random\.(Generator|SeedSequence|RandomState|default_rng)\(", source) is not None


def flags_in_messages(nodes: list[ast.AST]) -> list[str]:
    """Command-line flags in the texts of `raise` statements."""
    texts = [
        part.value
        for node in nodes
        if isinstance(node, ast.Raise)
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    flags = [flag for text in texts for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)]
    return [flag for flag in flags if flag != "--force-reinstall"]  # of pip


def begins_with_arguments(nodes: list[ast.AST]) -> list[str]:
    """Functions and classes whose docstring explains arguments or fields before saying what the thing is."""
    return [
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and re.match(r"[a-z_, ]+:", ast.get_docstring(node) or "")
    ]


def long_functions(nodes: list[ast.AST]) -> list[str]:
    return [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 >= FUNCTION_LINES_BELOW
    ]


def planted(package: str, source: str) -> list[Import]:
    path = SOURCE / "speclight" / package
    return list(imports_of(path if path.suffix else path / "planted.py", nodes_of(source)))


def test_every_package_has_its_layer() -> None:
    packages = {path.parent.name for path in (SOURCE / "speclight").glob("*/__init__.py")}
    beside = {path.stem for path in (SOURCE / "speclight").glob("*.py")} - {"__init__", "__main__"}
    assert beside == FOUNDATIONS
    assert packages | beside <= set(reachable())


def test_the_tree_that_contributors_read_is_the_layers() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    printed = re.findall(r"^ {4}([a-z]+) {2,}\S", text, flags=re.MULTILINE)
    assert set(printed) == {path.parent.name for path in (SOURCE / "speclight").glob("*/__init__.py")}
    allowed = reachable()
    for place, package in enumerate(printed):
        assert not allowed[package] & set(printed[:place]), package


@pytest.mark.parametrize(("pattern", "places"), ONE_PLACE.values(), ids=ONE_PLACE)
def test_there_is_one_of_each(pattern: str, places: set[str]) -> None:
    assert {module.path.name for module in modules() if re.search(pattern, module.source)} == places


def test_data_flows_one_way() -> None:
    assert upward_imports(all_imports()) == []


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("errors.py", "from speclight.trees import draft_tree"),
        ("theory", "import speclight.models.weights"),
        ("trees", "def f():\n    from speclight.theory import bound"),
        ("drafting", "from speclight.verification import rules"),
        ("measure", "from speclight import cli"),
    ],
)
def test_an_upward_import_is_found(package: str, source: str) -> None:
    assert len(upward_imports(planted(package, source))) == 1


def test_the_mathematics_needs_no_deep_learning_stack() -> None:
    assert deep_learning_imports(all_imports()) == []


def test_a_deep_learning_import_is_found() -> None:
    assert deep_learning_imports(planted("verification", "import torch.nn as nn"))
    assert deep_learning_imports(planted("theory", "from transformers import AutoConfig"))
    assert not deep_learning_imports(planted("models", "import torch"))


def test_array_types_are_named_once() -> None:
    assert array_aliases("BoolArray = npt.NDArray[np.bool_]\n") == ["BoolArray"]
    elsewhere = [module for module in modules() if module.path.stem != "arrays"]
    assert [module.path.name for module in elsewhere if array_aliases(module.source)] == []


def test_random_streams_are_opened_in_one_place() -> None:
    assert makes_a_generator("rng = np.random.default_rng(0)")
    found = [module.path.name for module in modules() if makes_a_generator(module.source)]
    # The reference sources are drawn once and for all by NumPy's default generator.
    assert sorted(found) == ["seeds.py", "sources.py"]


def test_errors_of_the_library_name_arguments_and_no_flags() -> None:
    planted_flag = nodes_of('raise InvalidInput(f"got {x}; lower --max-tokens")')
    assert flags_in_messages(planted_flag) == ["--max-tokens"]
    # Errors about inference servers name flags of those servers.
    library = [module for module in modules() if package_of(module.path) not in {"cli", "engines"}]
    assert [module.path.name for module in library if module.flags_in_messages] == []


def test_docstrings_begin_with_what_the_thing_is() -> None:
    arguments_first = nodes_of('class A:\n    """values, rows: [n] tokens per call."""')
    assert begins_with_arguments(arguments_first) == ["A"]
    assert begins_with_arguments(nodes_of('def f():\n    """A curve. values: [n] tokens per call."""')) == []
    assert {each.path: each.begins_with_arguments for each in modules() if each.begins_with_arguments} == {}


def test_modules_and_functions_are_short_and_finished() -> None:
    assert long_functions(nodes_of("def f():\n" + FUNCTION_LINES_BELOW * "    pass\n")) == ["f: 51 lines"]
    wrong: dict[str, list[str]] = {}
    for module in modules():
        found = [*module.long_functions, *UNFINISHED.findall(module.source)]
        if module.source.count("\n") >= MODULE_LINES_BELOW:
            found.append(f"{MODULE_LINES_BELOW} lines or more")
        if found:
            wrong[str(module.path.relative_to(SOURCE))] = found
    assert wrong == {}


def test_modules_are_named_by_a_noun_of_the_field() -> None:
    parts = {part for path in MODULES for part in path.relative_to(SOURCE).with_suffix("").parts}
    assert parts & DRAWER_NAMES == set()


def test_what_the_type_checker_is_told_to_check_exists() -> None:
    checked = PYPROJECT["tool"]["pyright"]
    paths = [*checked["include"], *checked["strict"]]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert any((ROOT / "benchmarks").glob("bench_*.py"))


def test_ci_runs_what_contributors_run() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.splitlines()[-1] == "exec make test"
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_readme_names_both_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme


def test_constraints_are_plain_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)] == []
    names = [line.split("==")[0].lower().replace("_", "-") for line in lines]
    assert len(set(names)) == len(names)
    assert "speclight" not in names
    # Every direct dependency is pinned, so that a fresh clone gets what was tested.
    required = [*PYPROJECT["project"]["dependencies"], *PYPROJECT["dependency-groups"]["dev"]]
    direct = {re.split(r"[<>=!~\[ ]", requirement)[0] for requirement in required}
    assert direct - set(names) == set()
