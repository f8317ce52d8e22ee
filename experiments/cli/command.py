"""Run an entry point: parse flags into a Config, turn errors into one line and an exit status."""

import contextlib
import difflib
import io
import logging
import os
import re
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO, cast

from absl import flags

from experiments.cli import code, networks
from experiments.cli.language import asked
from lenet import config as config_module
from lenet import stopping
from lenet.config import PRESETS, Config
from lenet.engine import cores, programs
from lenet.errors import LenetError, UsageError
from lenet.language import printable, translation

if TYPE_CHECKING:
    from rich.console import Console

FLAGS = flags.FLAGS
_LONGEST = 100  # characters of a flag's name


class _Sizes(flags.ArgumentParser):
    """Numbers with commas between them, such as 6,16."""

    syntactic_help = "integers separated by commas, such as 6,16"

    def parse(self, argument: str | tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(argument, tuple):
            return argument
        try:
            return tuple(int(size) for size in argument.split(",") if argument)
        except ValueError:
            raise ValueError("expected integers separated by commas") from None


def define_config() -> None:
    """Define --preset, --network, and a flag for each setting of the network and its training."""
    settings = (
        f"{name}: {', '.join(f'{k} {v}' for k, v in values.items()) or 'the defaults below'}"
        for name, values in PRESETS.items()
    )
    doc = f"settings to start from; other flags override them. {'; '.join(settings)}"
    flags.DEFINE_enum("preset", "book", list(PRESETS), doc)
    networks.define()
    for field in networks.fields():
        doc = networks.described(field)
        default: Any = None if field.name == "parts" else field.default  # `preset` asks for cores
        if field.metadata.get("among") and not field.metadata.get("code"):
            flags.DEFINE_enum(field.name, default, list(field.metadata["among"]), doc)
        elif isinstance(default, tuple):
            flags.DEFINE(_Sizes(), field.name, default, doc, serializer=flags.ListSerializer(","))
        elif isinstance(default, bool):
            flags.DEFINE_boolean(field.name, default, doc)
        elif isinstance(field.default, int):
            flags.DEFINE_integer(field.name, default, doc)
        elif isinstance(default, float):
            flags.DEFINE_float(field.name, default, doc)
        else:
            flags.DEFINE_string(field.name, default, doc)


def config() -> Config:
    """Return the preset's Config, overridden by the flags that were given.

    Raises:
      UsageError: for a value out of its range.
    """
    return config_module.check(config_module.replace(preset(), **given()))


def preset() -> Config:
    """Return the Config of --preset and --network, with parts for the cores of this machine."""
    network = networks.asked()
    known = {field.name for field in networks.fields()}
    values = {name: value for name, value in PRESETS[FLAGS.preset].items() if name in known}
    parts = FLAGS["parts"].value  # in a sweep a text, if it is given, for `axes`
    return Config(network, parts=parts if isinstance(parts, int) else cores.parts(), **values)


def given() -> dict[str, Any]:
    """Return the settings that the command line names, apart from --preset.

    Raises:
      UsageError: if it names an optimizer that cannot be imported.
    """
    names = [field.name for field in networks.fields()]
    return code.loaded({name: FLAGS[name].value for name in names if FLAGS[name].present})


def run(main: Callable[..., None], usage: str, *, operands: bool = False) -> None:
    """Parse the command line, call `main`, and leave with the exit status of the design.

    With `operands`, positional arguments are passed to `main`; without, they are an error.

    0 done, 2 usage, 3 data, 4 checkpoint or record, 5 diverged, 6 directory in use, 7 disk,
    130 interrupted, 143 terminated. An error that a user can cause is one line on stderr.
    """
    with _process():
        _run(main, usage, operands)


@contextlib.contextmanager
def _process() -> Iterator[None]:
    """Set up what belongs to the process, and put it back: a notebook may run this twice."""
    for number in range(3):  # else the next file that is opened would be taken for a closed stream
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  to the end
    backend = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "agg"  # a notebook's kernel exports another, which may not be there
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a sign shows a ? for it
            stream.reconfigure(errors="replace")
    log, stdout = logging.getLogger("lenet"), sys.stdout
    level, ours = log.level, logging.StreamHandler(cast(TextIO, _Lasting(stdout)))
    sys.stdout = ours.stream
    ours.setFormatter(_Translated("%(message)s"))
    log.addHandler(ours)
    log.setLevel(logging.INFO)
    handlers = {n: signal.signal(n, stopping.ask) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if backend is None:
            del os.environ["MPLBACKEND"]
        else:
            os.environ["MPLBACKEND"] = backend
        for number, handler in handlers.items():
            signal.signal(number, handler)
        log.removeHandler(ours)
        log.setLevel(level)
        sys.stdout = stdout
        stopping.forget()
        for flag in own_flags():
            delattr(FLAGS, flag.name)
        FLAGS.unparse_flags()


def own_flags() -> list[flags.Flag]:
    """Return the flags that are not a library's own, in the order of definition."""
    modules = FLAGS.flags_by_module_dict().items()
    libraries = ("absl", "chex")
    return [
        flag for module, defined in modules if not module.startswith(libraries) for flag in defined
    ]


def _run(main: Callable[..., None], usage: str, operands: bool) -> None:
    try:
        if {"--help", "-h", "-help"} & set(sys.argv[1:]):
            _print_help(usage)
            return
        if networks.NAME in FLAGS:
            networks.asked()
        operands_given = _parse(sys.argv, operands)
        _check_jax()
        programs.keep()
        cores.as_devices()
        main(*operands_given)
    except LenetError as error:
        sys.exit(complain(_dashed(str(error)), error.exit_status))
    except stopping.Stopped as stopped:
        what = "interrupted" if stopped.number == signal.SIGINT else "terminated"
        complain(what, 128 + stopped.number)
        sys.stdout.flush()
        if hasattr(sys, "ps1"):  # a notebook or a prompt stays alive
            sys.exit(128 + stopped.number)
        # Not through the end of the interpreter: threads of XLA may still compile, and crash in it.
        os._exit(128 + stopped.number)
    except Exception as error:
        if "Unable to initialize backend" in str(error):
            asked = os.environ.get("JAX_PLATFORMS", "")
            message = f"JAX_PLATFORMS={asked}: no such device here; JAX_PLATFORMS=cpu always works"
            sys.exit(complain(message))
        if "RESOURCE_EXHAUSTED" not in str(error) and not isinstance(error, MemoryError):
            raise
        message = "out of memory: use a smaller --batch_size or a smaller network"
        sys.exit(complain(message))


def _check_jax() -> None:
    """Raise a UsageError for settings of JAX with which nothing here runs."""
    for name, works in (("JAX_DISABLE_JIT", "0"), ("JAX_NUMPY_DTYPE_PROMOTION", "standard")):
        value = os.environ.get(name, works).lower()
        if value not in (works, "", "false", "off", "no"):
            raise UsageError(
                f"{name}={value}: training is compiled, with standard promotion of dtypes. Unset "
                f"{name}."
            )


def _dashed(message: str) -> str:
    """Return a message of the library with arguments written as flags: lr=-1 as --lr=-1.

    Code stays as it is: a call, Config(lr=1), and what stands in double quotes.
    """
    names = "|".join(sorted((name for name in FLAGS if len(name) > 1), key=len, reverse=True))
    arguments = rf'"[^"]*"|\w\([^()]*\)|(?<![-\w./])(?P<argument>(?:{names})=)'
    return re.sub(arguments, lambda at: f"--{at[0]}" if at["argument"] else at[0], message)


class _Translated(logging.Formatter):
    """The library's log in the language of the output."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line."""
        text = translation(asked())(str(record.msg))
        return printable(text % record.args if record.args else text)


class _Lasting:
    """A stdout that survives its reader: training continues when the pipe is closed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write; do nothing once the reader is gone."""
        with contextlib.suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush; once that fails, discard what is left and what follows."""
        try:
            self._stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _parse(argv: list[str], operands: bool) -> list[str]:
    for name in (argument.partition("=")[0] for argument in argv[1:]):
        if name.startswith("-") and len(name) > _LONGEST:  # absl's search for a like one recurses
            raise UsageError(f"unknown flag {name[:_LONGEST]}... (--help lists all)")
    try:
        rest = FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        words = error.flagname.replace("_", " ")
        close = difflib.get_close_matches(error.flagname, list(FLAGS), n=1) or [
            name for name in FLAGS if words in (FLAGS[name].help or "")
        ]
        guess = f", did you mean --{close[0]}?" if close else ""
        raise UsageError(f"unknown flag --{error.flagname}{guess} (--help lists all)") from None
    except flags.Error as error:
        raise UsageError(_reason(str(error))) from None
    if rest[1:] and not operands:
        name = rest[1].partition("=")[0]
        example = f"--{rest[1]}" if name in FLAGS else "for example --lr=0.9"
        # In double quotes it stays as it was typed.
        raise UsageError(f'unexpected argument "{rest[1]}". Write flags as --name=value: {example}')
    for flag in own_flags():
        if flag.present and flag.value == "" and flag.default is None:
            raise UsageError(f"--{flag.name}=: give it a value, or leave the flag out")
    return rest[1:]


def _reason(message: str) -> str:
    """Return absl's message about a value, with what was expected instead of Python's words."""
    value = re.match(r"flag --(\w+)=(.*?): ", message, re.DOTALL)
    expected = FLAGS[value[1]].parser.syntactic_help if value else ""
    if value is None or not expected or isinstance(FLAGS[value[1]], flags.EnumFlag):
        return message
    return f"--{value[1]}={value[2]}: expected {expected}"


def doc(flag: flags.Flag) -> str:
    """Return the help of a flag without the <a|b>: that absl puts in front of an enumeration's."""
    return flag.help.removeprefix(f"<{'|'.join(getattr(flag.parser, 'enum_values', ()))}>: ")


def complain(message: str, status: int = UsageError.exit_status) -> int:
    """Print an error as one line on stderr, control characters escaped; return the exit status."""
    print(f"error: {' '.join(printable(message).split())}", file=sys.stderr)
    return status


def console(**options: Any) -> "Console":
    """Return rich's console on stdout; its colours and its width are those of a terminal alone.

    Whatever FORCE_COLOR says, a file gets no codes, and a pipe whole lines.
    """
    from rich.console import Console

    terminal = sys.stdout.isatty()
    width = None if terminal or "COLUMNS" in os.environ else 10_000
    return Console(
        file=sys.stdout, highlight=False, force_terminal=terminal, width=width, **options
    )


def waiting(text: str) -> contextlib.AbstractContextManager[object]:
    """Return a context that says what takes long; a terminal forgets it at the end."""
    shown = console()
    if shown.is_terminal:
        return shown.status(text, spinner="line")
    shown.print(f"{text} ...", markup=False, soft_wrap=True)
    return contextlib.nullcontext()


def _print_help(usage: str) -> None:
    """Print the usage, then every flag of ours with its default, in the order of definition."""
    print(usage.strip(), end="\n\nFlags, with their defaults:\n\n")
    width, indent = min(shutil.get_terminal_size().columns, 100), " " * 8
    for flag in own_flags():
        default = ""
        if flag.serializer is not None and flag.default is not None:
            default = flag.serializer.serialize(flag.default)
        print(f"  --[no]{flag.name}" if flag.boolean else f"  --{flag.name}={default}")
        choices = getattr(flag.parser, "enum_values", ())
        text = doc(flag) + (f" ({', '.join(choices)})" if choices else "")
        print(textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent))
