"""The command `speclight`: which commands there are, and what becomes of errors.

A command is a module of this package holding one frozen dataclass of options, the only source of its
flags, and one function of that dataclass, whose docstring, with an example at its end, is its help (read as
Markdown). These modules import nothing heavy
at their top (tests/test_imports.py), so that all of them can be read for `speclight --help`.
"""

from __future__ import annotations

import errno
import functools
import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from cyclopts import App, CycloptsError, Group

from speclight import __version__
from speclight.checks import check_encodable
from speclight.cli.advice.gap import gap
from speclight.cli.advice.plan import plan
from speclight.cli.advice.score import score
from speclight.cli.cache import cache
from speclight.cli.decoding.generate import generate
from speclight.cli.decoding.verify import verify
from speclight.cli.drafters.doctor import doctor
from speclight.cli.drafters.drafter_profile import drafter_profile
from speclight.cli.drafters.train_head import train_head
from speclight.cli.engines.engine_check import engine_check
from speclight.cli.engines.import_report import import_report
from speclight.cli.experiments.compare_drafters import compare_drafters
from speclight.cli.experiments.compare_trees import compare_trees
from speclight.cli.experiments.doctor_faults import doctor_faults
from speclight.cli.experiments.limits_check import limits_check
from speclight.cli.experiments.limits_picture import limits_picture
from speclight.cli.experiments.limits_test import limits_test
from speclight.cli.experiments.many_to_one import many_to_one
from speclight.cli.experiments.race_vs_rejection import race_vs_rejection
from speclight.cli.experiments.replay_drafters import replay_drafters
from speclight.cli.experiments.reproduce import reproduce
from speclight.cli.experiments.score_test import score_test
from speclight.cli.flags import FLAGS, spelled
from speclight.cli.limits.bound import bound
from speclight.cli.limits.demo import demo
from speclight.cli.limits.latency import latency
from speclight.cli.limits.oracle import oracle
from speclight.cli.limits.profile import profile
from speclight.cli.limits.report import report
from speclight.cli.limits.trace import trace
from speclight.errors import SpeclightError

# Name of a command by group, in the order of `speclight --help`.
COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "How far from the limit": {
        "demo": demo,
        "profile": profile,
        "bound": bound,
        "oracle": oracle,
        "trace": trace,
        "latency": latency,
        "report": report,
    },
    "Advice": {"gap": gap, "score": score, "plan": plan},
    "Decoding": {"generate": generate, "verify": verify},
    "Drafters": {"drafter-profile": drafter_profile, "doctor": doctor, "train-head": train_head},
    "Inference servers": {"engine-check": engine_check, "import": import_report},
    "The papers": {"reproduce": reproduce},
    "Housekeeping": {"cache": cache},
}
# Below `speclight experiment`: comparisons, and the studies behind the documentation.
EXPERIMENTS: dict[str, Callable[..., None]] = {
    "compare-drafters": compare_drafters,
    "compare-trees": compare_trees,
    "doctor-faults": doctor_faults,
    "limits-check": limits_check,
    "limits-picture": limits_picture,
    "limits-test": limits_test,
    "many-to-one": many_to_one,
    "race-vs-rejection": race_vs_rejection,
    "replay-drafters": replay_drafters,
    "score-test": score_test,
}
EXPERIMENT_GROUP = "Comparisons and studies"

EXIT_DONE = 0
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count
EXIT_PIPE_CLOSED = 141  # 128 + SIGPIPE: whoever read our stdout has stopped
# What the system says of a stdout that takes no more: no space, no quota, a limit on files, a broken device.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def run() -> None:
    """Entry point of the console script: run the command line and exit."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    0: done. 2: bad input, explained on stderr. 130: interrupted. 141: stdout was closed by its reader.
    `verify`, `doctor` and `experiment limits-check` exit with 1 themselves where they find a fault,
    `doctor` with 2 for a head that cannot be read. Anything else is a bug of speclight and propagates,
    for Python to print the traceback and exit with 1.
    """
    if sys.stderr is None:  # closed by the shell (2>&-): then nobody wants to read it
        sys.stderr = Path(os.devnull).open("w")
    if sys.stdout is None:  # closed by the shell (>&-): known before any work is done
        return _refuse(
            "stdout is closed, expected a place for what is shown; leave it open or send it to a file"
        )
    _show_every_character()
    try:
        for argument in arguments:
            check_encodable(f"the argument {argument!a}", argument)
        _run_command(arguments)
    except CycloptsError as error:
        if isinstance(error.__cause__, SpeclightError):  # settings that check themselves
            return _refuse(f"{error.__cause__}{_flag(error.__cause__)}")
        return _refuse(f"{str(error).rstrip('.')}; `{_help_command(error)}` lists what is expected")
    except SpeclightError as error:
        return _refuse(f"{error}{_flag(error)}")
    except KeyboardInterrupt:
        print("speclight: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_PIPE_CLOSED
    except OSError as error:
        if error.errno not in UNWRITABLE or error.filename is not None:
            raise
        _silence_stdout()
        return _refuse(f"stdout cannot be written ({error.strerror}); send it elsewhere or free some space")
    return EXIT_DONE


def _run_command(arguments: Sequence[str]) -> None:
    try:
        command_app()(list(arguments), exit_on_error=False, print_error=False, result_action="return_none")
    except SystemExit as stopped:
        # Rich, which shows tables and help, exits with 1 where its reader has stopped: the code of a fault.
        if isinstance(stopped.__context__, BrokenPipeError):
            raise stopped.__context__ from None
        raise
    finally:
        sys.stdout.flush()


def _flag(error: SpeclightError) -> str:
    return "" if error.argument is None else f" (the flag is --{spelled(error.argument)})"


@functools.cache
def command_app() -> App:
    """The command line as cyclopts sees it, made once for all that a process runs."""
    app = App(
        name="speclight",
        help="The yardstick of speculative decoding: how fast a language model could be decoded "
        "speculatively, how fast a setup is, and what closes the gap.\n\n"
        "Begin with `speclight demo --quick`; every command's own help has an example.",
        version=__version__,
        help_format="markdown",  # which joins the lines of a paragraph; plain text keeps the source's breaks
        group_commands=Group("Help", sort_key=len(COMMANDS) + 1),
        default_parameter=FLAGS,
        suppress_keyboard_interrupt=False,  # it would exit before the message below
    )
    for place, (title, commands) in enumerate(COMMANDS.items()):
        group = Group(title, sort_key=place)
        for name, function in commands.items():
            app.command(function, name=name, group=group)
    experiment = App(
        name="experiment",
        help="Compare drafters, trees and rules, and repeat the studies behind the documentation.",
        group=Group(EXPERIMENT_GROUP, sort_key=len(COMMANDS)),
        group_commands=Group("Experiments"),
        default_parameter=FLAGS,
    )
    for name, function in EXPERIMENTS.items():
        experiment.command(function, name=name)
    app.command(experiment)
    return app


def _refuse(reason: str) -> int:
    with suppress(OSError):  # a full disk behind stderr: the exit code is what is left to say it with
        print(f"speclight: error: {reason}", file=sys.stderr, flush=True)
    return EXIT_BAD_INPUT


def _help_command(error: CycloptsError) -> str:
    return " ".join(["speclight", *(error.command_chain or ()), "--help"])


def _show_every_character() -> None:
    """What stdout's encoding lacks is shown as an escape: no work is lost for a character."""
    # The C locale lets bytes of file names through as half surrogates, which is as strict on characters.
    strict = ("strict", "surrogateescape")
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in strict:
        sys.stdout.reconfigure(errors="backslashreplace")


def _silence_stdout() -> None:
    """Point stdout at nothing: Python flushes it once more on exit and would report the closed pipe."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
